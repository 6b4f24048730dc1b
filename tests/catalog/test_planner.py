"""Statistics for the query planner: an index is used where a task has many rows."""

import pytest
from sqlalchemy import Select, select

from kinemill.catalog import transaction
from kinemill.catalog.tables import metadata, recordings, sketches
from kinemill.store.database import database

pytestmark = pytest.mark.skipif(database() is not None, reason="statistics are for SQLite")
MANY = [f"{number:064x}" for number in range(1000)]


def plan_of(home, query: Select) -> str:
    """Return the plan of a query in a new catalog."""
    with transaction(home, write=True):
        pass
    with transaction(home) as connection:  # a connection reads the statistics when it is opened
        dialect = connection.dialect
        statement = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
        return "; ".join(row[-1] for row in rows)


@pytest.mark.parametrize("number", [1, 10, 1000])
def test_some_sketches_are_found_without_reading_all_of_a_task(home, number):
    of = sketches.c
    for column, index in ((of.unit, "sketches_unit"), (of.hash, "sketches_hash")):
        query = select(sketches).where(of.task == "arm", column.in_(MANY[:number]))
        assert plan_of(home, query) == (
            f"SEARCH sketches USING INDEX {index} (task=? AND {column.name}=?)"
        )


def test_recordings_of_a_name_are_found_by_it_also_in_the_order_of_their_hashes(home):
    of = recordings.c
    query = select(recordings).where(of.task == "arm", of.name == "a.csv").order_by(of.hash)
    assert "USING INDEX recordings_name" in plan_of(home, query)


def test_every_index_of_the_catalog_has_statistics(home):
    with transaction(home, write=True) as connection:
        written = {row[0] for row in connection.exec_driver_sql("SELECT idx FROM sqlite_stat1")}
        indexes = {
            row[0]
            for table in metadata.tables
            for row in connection.exec_driver_sql(f"SELECT name FROM pragma_index_list('{table}')")
        }
    # The primary key of a table without row numbers has the name of the table there.
    key_of = {f"sqlite_autoindex_{table}_1": table for table in metadata.tables}
    assert {name for name in indexes if not {name, key_of.get(name)} & written} == set()
