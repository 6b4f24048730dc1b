"""Statistics for the query planner of SQLite.

Without them it expects a handful of rows in a task, and reads all sketches of a task to find ten of
them. Typical figures are written once, see "ANALYZE" in the documentation of SQLite, so that plans
depend neither on the size of the database nor on its history.
"""

from sqlalchemy import Connection, Table, text

from kinemill.catalog.tables import metadata

_ROWS = 1_000_000  # of a table
_SAME = {"task", "folder", "kind"}  # columns with the same value in all rows
# Rows with the same value of other columns; 1 of those that are not named.
_GROUPS = {"check": 50_000, "added": 1_000, "removed": 1_000, "directory": 1_000, "key": 16}


def write_statistics(connection: Connection) -> None:
    """Write the statistics of tables that were just made; another database has its own."""
    if connection.dialect.name != "sqlite":
        return
    connection.exec_driver_sql("ANALYZE about")  # makes the table of statistics
    insert = text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:table, :index, :figures)")
    for table in metadata.sorted_tables:
        for index, columns in _indexes(table).items():
            row = {"table": table.name, "index": index, "figures": _figures(columns)}
            connection.execute(insert, row)


def _indexes(table: Table) -> dict[str, list[str]]:
    """Return the columns of the indexes of a table, that of its primary key included."""
    indexes = {str(one.name): [column.name for column in one.columns] for one in table.indexes}
    if key := [column.name for column in table.primary_key.columns]:
        rowid = table.dialect_options["sqlite"]["with_rowid"]
        indexes[f"sqlite_autoindex_{table.name}_1" if rowid else table.name] = key
    return indexes


def _figures(columns: list[str]) -> str:
    """Return the number of rows, and of those that agree in the first 1, 2, ... columns."""
    figures = [_ROWS]
    for column in columns:
        same = _ROWS if column in _SAME else _GROUPS.get(column, 1)
        figures.append(min(figures[-1], same))
    return " ".join(map(str, figures))
