"""`kinemill model list` and `show`: registered versions, their errors and gate results."""

import re
from typing import Annotated

import typer

from kinemill.cli.completion import complete_model
from kinemill.cli.output import JsonOption, TaskName, document

_ADDRESS = re.compile(r"(?P<task>[^@:]+)(?P<which>[@:].+)?\Z")


def list_models(task: TaskName, as_json: JsonOption = False) -> None:
    """List the registered versions of a task.

    The newest version comes first.

    Example: kinemill model list my_robot
    """
    from kinemill.cli.version_tables import version_list
    from kinemill.register.lookup import list_versions
    from kinemill.store.home import Home
    from kinemill.task import task_name

    listed = list_versions(task_name(task), Home.resolve())
    if as_json:
        document(listed)
    else:
        version_list(listed)


def show_model(
    model: Annotated[
        str,
        typer.Argument(
            help="Model: TASK, TASK@alias or TASK:version.", autocompletion=complete_model
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Show one version: errors, gate, lineage and files.

    Shows the champion unless another version is named.

    Example: kinemill model show my_robot:3
    """
    from kinemill.cli.version_tables import version_page
    from kinemill.errors import BadInput
    from kinemill.register.lookup import show as look_up
    from kinemill.store.home import Home
    from kinemill.task import task_name

    address = _ADDRESS.match(model)
    if address is None:
        raise BadInput(model, "names no version", expected="TASK, TASK@alias or TASK:version")
    name = task_name(address["task"])
    version = look_up(name, Home.resolve(), address["which"] or "")
    if as_json:
        document(version)
    else:
        version_page(version)
