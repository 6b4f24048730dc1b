"""Dataset commands: versions of a task, and lineage in both directions."""

from typing import Annotated

import typer

from kinemill.cli.output import Limit, ModelName, Offset, Output, Table, TaskName
from kinemill.errors import BadInput
from kinemill.store import Home, Json

_SHORT = 12  # displayed characters of a digest
DatasetVersion = Annotated[str, typer.Argument(help="Version number, digest prefix, or latest.")]
_SPLITS = ("train", "validation", "test")


def list_versions(task: TaskName, limit: Limit = 20, offset: Offset = 0) -> Output:
    """List the dataset versions of a task.

    Example: kinemill data datasets list my_robot
    """
    from kinemill.dataset import list_datasets
    from kinemill.task import task_name

    summary = list_datasets(Home.resolve(), task_name(task), offset, limit)
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
    title = f"datasets of {summary['task']}, {len(rows)} of {summary['total']}"
    return Output(summary, Table(title, ["v", "digest", "status", "created, UTC", *_SPLITS], rows))


def show_version(
    task: TaskName, version: DatasetVersion = "latest", limit: Limit = 20, offset: Offset = 0
) -> Output:
    """Show a dataset version: features, split and warnings.

    Example: kinemill data datasets show my_robot 2
    """
    from kinemill.dataset import show_dataset
    from kinemill.task import task_name
    from kinemill.verify.phrases import counted

    summary = show_dataset(Home.resolve(), task_name(task), version, offset, limit)
    episodes = summary["list"]["episodes"]
    title = f"episodes, {len(episodes)} of {summary['list']['total']} (--offset, --limit)"
    features = ["name", "role", "unit", "kind", "mean", "std", "delta_std"]
    return Output(
        summary,
        f"{summary['name']}  {summary['digest'][:_SHORT]}  {summary['status']}  "
        f"{summary['created']}  {summary['owner']}",
        f"{counted(summary['states'], 'states')}, {counted(summary['actions'], 'actions')}, "
        f"dt {summary['dt']} s, {counted(summary['recordings'], 'recordings')}, "
        f"{_counts(summary['episodes'])}",
        *(f"warning: {warning}" for warning in summary["warnings"]),
        Table("features", features, summary["features"]),
        Table(title, ["id", "split", "name", "group", "rows"], episodes),
    )


def _counts(episodes: dict[str, int]) -> str:
    return ", ".join(f"{number} {split}" for split, number in episodes.items() if number)


def lineage(
    model: ModelName,
    recording: str | None = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> Output:
    """List the recordings that a model was trained on.

    With --recording, lists the datasets and models that used the recording.

    Example: kinemill model lineage my_robot@champion

    Args:
        recording: Recording hash or name: list what used it instead.
    """
    from kinemill.api.models import address_of
    from kinemill.register.lineage import recordings_of, uses_of

    (task, which), home = address_of(model), Home.resolve()
    name = task.name
    if recording and which:
        raise BadInput(model, "names a version, and --recording all of them", expected="a task")
    if recording:
        return _uses(uses_of(home, name, recording))
    return _recordings(recordings_of(home, name, which, offset, limit))


def _spell(model: Json) -> str:
    return "".join([f":{model['version']}", *(f" @{alias}" for alias in model["aliases"])])


def _recordings(summary: Json) -> Output:
    dataset = summary["dataset"]
    columns = ["name", "group", *_SPLITS, "rows"]
    rows = [
        [line["recording"][:_SHORT], *(line[key] for key in columns)]
        for line in summary["recordings"]
    ]
    title = f"recordings, {len(rows)} of {summary['total']}"
    return Output(
        summary,
        f"{summary['task']}{_spell(summary['model'])} learned from dataset v{dataset['version']} "
        f"({dataset['digest'][:_SHORT]})",
        *(f"its environment's {what}: {which}" for what, which in summary["environment"].items()),
        Table(title, ["recording", *columns], rows),
    )


def _uses(summary: Json) -> Output:
    tables = list[Table]()
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
        tables.append(Table(title if rows else f"{title}: in no dataset", columns, rows))
    return Output(summary, *tables)
