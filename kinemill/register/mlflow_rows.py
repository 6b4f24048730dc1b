"""Rows of a version in MLflow's tables, copied to the store so that MLflow can be rebuilt.

They are the experiment, the run with its parameters and metrics, the training dataset, the logged
model and the version. Tags and aliases of the version can change later; the ledger holds them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Table, select, text

from kinemill.errors import CorruptArtifact
from kinemill.register.ledger import has_file, ledger_folder, publish
from kinemill.register.mlflow_tables import connected
from kinemill.register.versions import Version
from kinemill.store import Format, Home, Json, read_json
from kinemill.tracking.database import artifact_root

FORMAT = Format("registry rows", 1)
# Tables in the order of their foreign keys, with the column that selects the rows of a version.
_TABLES = {
    "experiments": "experiment_id",
    "experiment_tags": "experiment_id",
    "runs": "run_uuid",
    "params": "run_uuid",
    "tags": "run_uuid",
    "metrics": "run_uuid",
    "latest_metrics": "run_uuid",
    "datasets": "dataset_uuid",
    "inputs": "input_uuid",
    "input_tags": "input_uuid",
    "logged_models": "model_id",
    "logged_model_tags": "model_id",
    "logged_model_params": "model_id",
    "logged_model_metrics": "model_id",
    "registered_models": "name",
    "model_versions": "version",
}


_COUNT_ON = """
SELECT setval(pg_get_serial_sequence('experiments', 'experiment_id'), max(experiment_id))
FROM experiments
"""


def rows_file(home: Home, task: str, number: int) -> Path:
    """Return the file with the rows of a version."""
    return ledger_folder(home, task) / "rows" / f"{number:06d}.json"


def save_rows(home: Home, version: Version) -> None:
    """Write the rows of a new version to the store."""
    with connected(home) as connection:
        schema = MetaData()
        schema.reflect(connection, only=list(_TABLES))

        def rows(name: str, /, **keys: Sequence[object]) -> list[Json]:
            table = schema.tables[name]
            query = select(table).where(*(table.c[key].in_(values) for key, values in keys.items()))
            return [dict(row) for row in connection.execute(query).mappings()]

        selection = _select(rows, version)
        document_rows = {name: rows(name, **selection[column]) for name, column in _TABLES.items()}
    document = {"artifacts": artifact_root(home), "rows": document_rows}
    publish(home, rows_file(home, version.task, version.number), FORMAT.stamp(document))


def _select(rows: Any, version: Version) -> Mapping[str, Mapping[str, Sequence[object]]]:
    """Return the values that select the rows of a version, by the column in `_TABLES`."""
    run, model = [version.run_id], [version.logged_model]
    (logged,) = rows("logged_models", model_id=model)
    inputs = rows("inputs", destination_id=run)
    links = [*inputs, *rows("inputs", destination_id=model), *rows("inputs", source_id=run)]
    return {
        "experiment_id": {"experiment_id": [logged["experiment_id"]]},
        "run_uuid": {"run_uuid": run},
        "dataset_uuid": {"dataset_uuid": [link["source_id"] for link in inputs]},
        "input_uuid": {"input_uuid": [link["input_uuid"] for link in links]},
        "model_id": {"model_id": model},
        "name": {"name": [version.task]},
        "version": {"name": [version.task], "version": [version.number]},
    }


def put_rows(home: Home, task: str, number: int, connection: Connection) -> None:
    """Write the rows of a version to MLflow's tables if they are missing or differ.

    Raises:
        CorruptArtifact: The rows are missing from the store or damaged.
    """
    path = rows_file(home, task, number)
    if not has_file(home, path):
        raise CorruptArtifact(
            path, "is missing", fix="restore it from a backup: kinemill admin restore"
        )
    document = FORMAT.open(path, read_json(path))
    moved = _moved(document, artifact_root(home))
    schema = MetaData()
    schema.reflect(connection, only=list(_TABLES))
    experiment = _experiment(schema.tables["experiments"], moved["experiments"], connection)
    for name, rows in moved.items():
        for row in rows:
            if "experiment_id" in row:
                row["experiment_id"] = experiment
        _put(schema.tables[name], rows, connection)
    if connection.dialect.name == "postgresql":  # its sequence ignores explicit ids
        connection.execute(text(_COUNT_ON))


def _moved(document: Json, root: str) -> dict[str, list[Json]]:
    """Return the rows with artifact paths below `root`, since the home may have moved."""
    old = document["artifacts"]

    def relocate(value: object) -> object:
        if isinstance(value, str) and value.startswith(f"{old}/"):
            return f"{root}{value[len(old) :]}"
        return value

    return {
        name: [{key: relocate(value) for key, value in row.items()} for row in rows]
        for name, rows in document["rows"].items()
    }


def _experiment(table: Table, rows: Sequence[Json], connection: Connection) -> int:
    """Return the id of the experiment with this name, else the recorded id, else a free id."""
    (row,) = rows
    listed = connection.execute(select(table.c.name, table.c.experiment_id))
    ids = {name: number for name, number in listed}
    if row["name"] in ids:
        return ids[row["name"]]
    is_used = row["experiment_id"] in ids.values()
    return max(ids.values()) + 1 if is_used else row["experiment_id"]


def _put(table: Table, rows: Sequence[Json], connection: Connection) -> None:
    keys = [column.name for column in table.primary_key]
    new = list[Json]()
    for row, there in _compared(table, keys, rows, connection):
        if there is None:
            new.append(row)
        elif there != row:
            same = (table.c[key] == row[key] for key in keys)
            connection.execute(table.update().where(*same).values(row))
    if new:
        connection.execute(table.insert(), new)


def _compared(
    table: Table, keys: Sequence[str], rows: Sequence[Json], connection: Connection
) -> Iterator[tuple[Json, Json | None]]:
    """Yield each row with MLflow's row of the same primary key, or None."""
    for row in rows:
        query = select(table).where(*(table.c[key] == row[key] for key in keys))
        there = connection.execute(query).mappings().first()
        yield row, None if there is None else dict(there)
