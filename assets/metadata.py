"""The words assets may use in their metadata, so that the same thing has one name everywhere."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import dagster as dg

_SHOWN = 50  # rows of a table in the catalog

WORDS = {
    "summary": "what the model is, its errors in units, the best reference, whether to trust it",
    "recordings": "recordings in the snapshot",
    "quarantined": "recordings of which nothing was accepted",
    "tracks": "continuous stretches found in the recordings",
    "episodes": "episodes, accepted or in each split",
    "rows": "rows at the task's time step",
    "rows_read": "rows of the logs, at the logs' own rates",
    "dropped_rows": "rows left out, with the reasons in the table beside",
    "dropped": "rows left out, by check",
    "typical": "rows of each recording, and one of typical length channel by channel",
    "cuts": "how much of each recording was kept, and one with what was cut out of it",
    "reasons": "what was left out or quarantined, and why",
    "ignored": "files in the folder that are left alone, and why",
    "splits": "episodes and rows of each split",
    "statistics": "mean and standard deviation of each channel in the training split",
    "histograms": "share of rows over the values of each channel: train, validation, test",
    "cycles": "of clips of motion: each joint over the phase of a cycle, a line for each clip",
    "clips": "of clips of motion: split, length, the cycle that was found, and commands",
    "environment": "what a policy sees and gives: names, roles, units, limits",
    "chance": "what actions drawn at random bring: mean and interval",
    "augmentations": "what each augmentation added, the share of episodes it touched, and left out",
    "before_after": "a training episode and its copies",
    "references": "the best member of each family of simple models, by its validation error",
    "best_reference": "the reference with the smallest validation error",
    "candidates": "the trained model, the best reference if it was offered, and the decisions",
    "steps": "training steps made",
    "parameters": "number of weights",
    "seed": "seed of the training",
    "loss": "smallest watched validation error",
    "best_return": "largest mean return of an evaluation during training",
    "loss_curve": "losses over the steps",
    "errors": "error at the horizon by channel and unit, beside the baselines",
    "trials": "return and success in the environment, from seeded starts never seen before",
    "returns": "returns of all trials, from the least to the most",
    "error_growth": "error over the horizon by channel",
    "closed_loop": "episodes of the task's controller on the simulated robot, by their starts",
    "parity": "largest difference between torch and ONNX, over what is allowed",
    "gates": "what verification asked for, line by line",
    "latency": "time of one call, ms",
    "onnx": "size of each file, bytes",
    "variants": "the same in fewer bits: its error, the original's, and what is allowed",
    "c99": "step.c: bytes, multiplications, difference from step.onnx, time of a step, us",
    "size": "size of the files, bytes",
    "version": "version in the registry",
    "alias": "alias the version got",
    "decision": "what the gate decided",
    "gate": "the decision line by line",
    "report": "the report page; as a file it works offline",
    "mlflow_run": "the run in MLflow",
    "registry": "the version in MLflow",
    "page": "the page of the version: where it comes from, data, training, errors, verdict",
    "history": "the versions of the task over time",
    "files": "the files in MLflow, the report among them",
    "store": "folder of the outcome",
    "digest": "digest of the outcome, also its data version",
    "known": "whether the outcome was there before",
}


def build_metadata(**entries: Any) -> dict[str, Any]:
    """Return metadata made of known words alone; entries that are None are left out.

    Raises:
        ValueError: a word that is not in the vocabulary.
    """
    if unknown := sorted(set(entries) - set(WORDS)):
        message = f"{unknown} not in assets/metadata.py; known: {sorted(WORDS)}"
        raise ValueError(message)
    return {word: value for word, value in entries.items() if value is not None}


def table(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue | None:
    """Show rows as a table, or nothing when there are none; columns are those of the first row."""
    if not rows:
        return None
    rows, columns = rows[:_SHOWN], list(rows[0])
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _cell(row.get(name)) for name in columns}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns]),
    )


def reasons(logs: Sequence[Mapping[str, Any]], name: str) -> dg.TableMetadataValue | None:
    """Show why logs, or stretches of them, were left out; `name` is the key of a log's name."""
    rows = [{"log": log[name], **reason} for log in logs for reason in log["reasons"]]
    return table(rows[:_SHOWN])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(one) for one in cast(Sequence[Any], value))
    return "" if value is None else str(value)


def picture(path: Path) -> dg.MarkdownMetadataValue | None:
    """Show a PNG inside the page, so that it needs no server of its own."""
    if not path.is_file():
        return None
    data = base64.b64encode(path.read_bytes()).decode()
    return dg.MetadataValue.md(f"![{path.stem}](data:image/png;base64,{data})")


def drawing(svg: str | None) -> dg.MarkdownMetadataValue | None:
    """Show an SVG inside the page, or nothing when there is none."""
    if svg is None:
        return None
    data = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![drawing](data:image/svg+xml;base64,{data})")


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Show what a check found: numbers and text as they are, lists of records as tables."""
    return {name: _value(value) for name, value in values.items() if value not in (None, [], {})}


def _value(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return table(value)
    return dg.MetadataValue.json(value)
