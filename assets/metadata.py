"""Metadata keys of assets with descriptions, used by all assets."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import dagster as dg

from kinemill.store import Json

_LISTED = 50  # most rows of a table in the catalog

DESCRIPTIONS = {
    "summary": "errors in units, best reference, reliability",
    "recordings": "recordings in the snapshot",
    "quarantined": "recordings without an accepted episode",
    "tracks": "continuous segments in the recordings",
    "episodes": "episodes, accepted or in each split",
    "rows": "rows at the task's time step",
    "rows_read": "rows of the logs, at the rates of the logs",
    "dropped_rows": "dropped rows, with the reasons in the table",
    "dropped": "dropped rows by check",
    "reasons": "rejected or quarantined data, with reasons",
    "ignored": "skipped files in the folder, with reasons",
    "splits": "episodes and rows of each split",
    "data_docs": "Data Docs of Great Expectations: index page of the last results of each task",
    "statistics": "mean and standard deviation of each channel in the training split",
    "environment": "observations and actions of a policy: names, roles, units, limits",
    "random_return": "return of random actions: mean and interval",
    "augmentations": "rows added by each augmentation, share of episodes, and dropped copies",
    "references": "the selected member of each family of simple models, with its errors",
    "best_reference": "the reference with the smallest score",
    "candidates": "candidates of the run, the best first: errors on rows left out, time, failures",
    "family": "model family that the portfolio selected, of a task without learn.model",
    "steps": "training steps",
    "epochs": "passes over the training windows, if learn.epochs is set",
    "parameters": "number of weights",
    "selected": "the candidate that the run exports and registers, with the reason",
    "seed": "seed of the training",
    "loss": "smallest validation error",
    "best_return": "largest mean return of an evaluation during training",
    "loss_curve": "losses over the steps",
    "errors": "error at the horizon by channel and unit, compared with the baselines",
    "trials": "return and success in the environment, from new seeded starts",
    "closed_loop": "episodes of the task's controller on the simulated robot, by initial state",
    "parity": "largest difference between torch and ONNX, relative to the tolerance",
    "gates": "lines of the verification checks",
    "latency": "time of one call, ms",
    "onnx": "size of each file, bytes",
    "c99": "step.c: bytes, multiplications, difference from step.onnx, time of a step, us",
    "size": "size of the files, bytes",
    "version": "version in the registry",
    "alias": "alias of the version",
    "decision": "decision of the gate",
    "gate": "lines of the decision",
    "report": "report page, an offline HTML file",
    "mlflow_run": "the run in MLflow",
    "registry": "the version in MLflow",
    "page": "page of the version: provenance, data, training, errors, decision",
    "history": "the versions of the task over time",
    "files": "the files in MLflow, including the report",
    "store": "folder of the artifact",
    "digest": "digest of the artifact, also its data version",
    "cached": "whether the artifact was cached",
}


def build_metadata(**entries: object) -> dict[str, Any]:
    """Return metadata with known keys only; None values are omitted.

    Raises:
        ValueError: An unknown key.
    """
    if unknown := sorted(set(entries) - set(DESCRIPTIONS)):
        message = f"{unknown} not in assets/metadata.py; known: {sorted(DESCRIPTIONS)}"
        raise ValueError(message)
    return {key: value for key, value in entries.items() if value is not None}


def table(rows: Sequence[Json]) -> dg.TableMetadataValue | None:
    """Return rows as a table with the columns of the first row; None if empty."""
    if not rows:
        return None
    rows, columns = rows[:_LISTED], list(rows[0])
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _cell(row.get(name)) for name in columns}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns]),
    )


def reasons(logs: Sequence[Json], name: str) -> dg.TableMetadataValue | None:
    """Return a table of rejected logs or segments; `name` is the key of the log's name."""
    rows = [{"log": log[name], **reason} for log in logs for reason in log["reasons"]]
    return table(rows[:_LISTED])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in cast(Sequence[Any], value))
    return "" if value is None else str(value)


def picture(path: Path) -> dg.MarkdownMetadataValue | None:
    """Return a PNG embedded in the page."""
    if not path.is_file():
        return None
    data = base64.b64encode(path.read_bytes()).decode()
    return dg.MetadataValue.md(f"![{path.stem}](data:image/png;base64,{data})")


def readable(values: Mapping[str, object]) -> dict[str, Any]:
    """Return the values of a check as metadata: lists as tables, others unchanged."""
    return {name: _value(value) for name, value in values.items() if value not in (None, [], {})}


def _value(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return table(value)
    return dg.MetadataValue.json(value)
