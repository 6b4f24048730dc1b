"""`kinemill model list` and `show`: registered versions, their errors and gate results."""

from kinemill.cli.output import ModelName, Output, Table, TaskName
from kinemill.store.home import Home


def list_models(
    task: TaskName,
    checkpoints: bool = False,
) -> Output:
    """List the registered versions of a task.

    The newest version comes first.

    Example: kinemill model list my_robot

    Args:
        checkpoints: List kept checkpoints, the best first.
    """
    from kinemill.cli.version_tables import version_list
    from kinemill.register.lookup import list_versions
    from kinemill.task import task_name

    if checkpoints:
        return _list_checkpoints(task_name(task))
    listed = list_versions(task_name(task), Home.resolve())
    return Output(listed, version_list(listed))


def _list_checkpoints(task: str) -> Output:
    from kinemill.store import to_json_value
    from kinemill.train.kept_checkpoint import list_checkpoints

    listed = list_checkpoints(Home.resolve(), task)
    none = [] if listed else ["none is kept; learn.keep.every keeps one after each so many steps"]
    rows = [[entry.step, entry.value, entry.monitor, entry.folder] for entry in listed]
    return Output(
        {"task": task, "checkpoints": to_json_value(listed)},
        *(none or [Table(f"checkpoints of {task}", ["step", "value", "of", "folder"], rows)]),
    )


def show_model(model: ModelName) -> Output:
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
    return Output(version, lambda: version_page(version))
