"""`kinemill model list` and `show`: registered versions, their errors and gate results."""

from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, ModelName, TaskName, document, table
from kinemill.store.home import Home


def list_models(
    task: TaskName,
    as_json: JsonOption = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="List kept checkpoints, the best first.")
    ] = False,
) -> None:
    """List the registered versions of a task.

    The newest version comes first.

    Example: kinemill model list my_robot
    """
    from kinemill.cli.version_tables import version_list
    from kinemill.register.lookup import list_versions
    from kinemill.task import task_name

    if checkpoints:
        _list_checkpoints(task_name(task), as_json=as_json)
        return
    listed = list_versions(task_name(task), Home.resolve())
    document(listed) if as_json else version_list(listed)


def _list_checkpoints(task: str, *, as_json: bool) -> None:
    from kinemill.store import to_json_value
    from kinemill.train.kept_checkpoint import list_checkpoints

    listed = list_checkpoints(Home.resolve(), task)
    if as_json:
        document({"task": task, "checkpoints": to_json_value(listed)})
        return
    table(
        f"checkpoints of {task}",
        ["step", "error", "of", "folder"],
        [[entry.step, entry.error, entry.monitor, entry.folder] for entry in listed],
    )


def show_model(
    model: ModelName,
    as_json: JsonOption = False,
) -> None:
    """Show one version: errors, gate, lineage and files.

    Default: the champion.

    Example: kinemill model show my_robot:3
    """
    from kinemill.api.models import split_address
    from kinemill.cli.version_tables import version_page
    from kinemill.register.lookup import show as look_up
    from kinemill.task import task_name

    task, which = split_address(model)
    version = look_up(task_name(task), Home.resolve(), which)
    document(version) if as_json else version_page(version)
