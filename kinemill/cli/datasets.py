"""Dataset commands: versions of a task, their differences, and lineage in both directions."""

from typing import Annotated

import typer

from kinemill.cli.output import (
    JsonOption,
    Limit,
    ModelName,
    Offset,
    TaskName,
    document,
    table,
)
from kinemill.errors import BadInput
from kinemill.store import Home, Json

_SHORT = 12  # displayed characters of a digest
DatasetVersion = Annotated[str, typer.Argument(help="Version number, digest prefix, or latest.")]
_SPLITS = ("train", "validation", "test")


def list_versions(
    task: TaskName, limit: Limit = 20, offset: Offset = 0, as_json: JsonOption = False
) -> None:
    """List the dataset versions of a task.

    Example: kinemill data datasets list my_robot
    """
    from kinemill.dataset import list_datasets
    from kinemill.task import task_name

    summary = list_datasets(Home.resolve(), task_name(task), offset, limit)
    document(summary) if as_json else _print_list(summary)


def show_version(
    task: TaskName,
    version: DatasetVersion = "latest",
    limit: Limit = 20,
    offset: Offset = 0,
    as_json: JsonOption = False,
) -> None:
    """Show a dataset version: features, split and warnings.

    Example: kinemill data datasets show my_robot 2
    """
    from kinemill.dataset import show_dataset
    from kinemill.task import task_name

    summary = show_dataset(Home.resolve(), task_name(task), version, offset, limit)
    document(summary) if as_json else _print_version(summary)


def diff_versions(
    task: TaskName,
    first: DatasetVersion,
    second: DatasetVersion,
    limit: Limit = 20,
    offset: Offset = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare two dataset versions of a task.

    Example: kinemill data datasets diff my_robot 1 2
    """
    from kinemill.dataset import diff_datasets
    from kinemill.task import task_name

    summary = diff_datasets(Home.resolve(), task_name(task), first, second, offset, limit)
    document(summary) if as_json else _print_diff(summary)


def _print_list(summary: Json) -> None:
    rows = [
        [
            line["version"],
            line["digest"][:_SHORT],
            line["status"],
            line["created"][:16].replace("T", " "),
            *(line["episodes"].get(split) for split in _SPLITS),
        ]
        for line in summary["datasets"]
    ]
    columns = ["v", "digest", "status", "created, UTC", *_SPLITS]
    table(f"datasets of {summary['task']}, {len(rows)} of {summary['total']}", columns, rows)


def _counts(episodes: dict[str, int]) -> str:
    return ", ".join(f"{number} {split}" for split, number in episodes.items() if number)


def _print_version(summary: Json) -> None:
    typer.echo(
        f"{summary['name']}  {summary['digest'][:_SHORT]}  {summary['status']}  "
        f"{summary['created']}  {summary['owner']}\n"
        f"{summary['states']} states, {summary['actions']} actions, "
        f"dt {summary['dt']} s, {summary['recordings']} recordings, {_counts(summary['episodes'])}"
    )
    for warning in summary["warnings"]:
        typer.echo(f"warning: {warning}")
    columns = ["name", "role", "unit", "kind", "mean", "std", "delta_std"]
    table("features", columns, [[line[key] for key in columns] for line in summary["features"]])
    episodes = summary["list"]["episodes"]
    total = summary["list"]["total"]
    columns = ["id", "split", "name", "group", "rows"]
    rows = [[line[key] for key in columns] for line in episodes]
    table(f"episodes, {len(rows)} of {total} (--offset, --limit)", columns, rows)


def _print_diff(summary: Json) -> None:
    kinds = ("added", "removed", "moved", "changed")
    counts = ", ".join(f"{summary[kind]} {kind}" for kind in kinds)
    typer.echo(
        f"{summary['task']}/v{summary['a']['version']} -> v{summary['b']['version']}: {counts}"
    )
    rows = [[line["key"], str(line["a"]), str(line["b"])] for line in summary["rules"]]
    table("rules", ["key", "before", "after"], rows or [["none changed", "", ""]])
    for kind in kinds:
        if episodes := summary["episodes"][kind]:
            rows = [
                [line["id"], line["name"], line["split"], line["split_b"], line["rows"]]
                for line in episodes
            ]
            columns = ["id", "name", "before", "after", "rows before"]
            table(f"{kind}, {len(rows)} of {summary[kind]}", columns, rows)


def lineage(
    model: ModelName,
    recording: Annotated[
        str | None,
        typer.Option("--recording", help="Recording hash or name: list what used it instead."),
    ] = None,
    limit: Limit = 20,
    offset: Offset = 0,
    as_json: JsonOption = False,
) -> None:
    """List the recordings that a model was trained on.

    With --recording, lists the datasets and models that used the recording.

    Example: kinemill model lineage my_robot@champion
    """
    from kinemill.api.models import address_of
    from kinemill.register.lineage import recordings_of, uses_of

    (task, which), home = address_of(model), Home.resolve()
    name = task.name
    if recording and which:
        raise BadInput(model, "names a version, and --recording all of them", expected="a task")
    if recording:
        summary = uses_of(home, name, recording)
        print_summary = _print_uses
    else:
        summary = recordings_of(home, name, which, offset, limit)
        print_summary = _print_recordings
    document(summary) if as_json else print_summary(summary)


def _spell(model: Json) -> str:
    return "".join([f":{model['version']}", *(f" @{alias}" for alias in model["aliases"])])


def _print_recordings(summary: Json) -> None:
    dataset = summary["dataset"]
    typer.echo(
        f"{summary['task']}{_spell(summary['model'])} learned from dataset v{dataset['version']} "
        f"({dataset['digest'][:_SHORT]})"
    )
    for what, which in summary["environment"].items():
        typer.echo(f"its environment's {what}: {which}")
    columns = ["name", "group", *_SPLITS, "rows"]
    rows = [
        [line["recording"][:_SHORT], *(line[key] for key in columns)]
        for line in summary["recordings"]
    ]
    table(f"recordings, {len(rows)} of {summary['total']}", ["recording", *columns], rows)


def _print_uses(summary: Json) -> None:
    for recording in summary["recordings"]:
        rows = [
            [
                f"v{use['version']}",
                use["digest"][:_SHORT],
                _counts(use["episodes"]),
                ", ".join(_spell(model) for model in use["models"]) or "none",
            ]
            for use in recording["datasets"]
        ]
        title = f"{recording['name']} ({recording['hash'][:_SHORT]})"
        columns = ["dataset", "digest", "episodes", "models"]
        table(title if rows else f"{title}: in no dataset", columns, rows)
