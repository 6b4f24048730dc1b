"""`kinemill model compare`: two versions on the same test split, as a table."""

from typing import Annotated

import typer

from kinemill.cli.completion import complete_model
from kinemill.cli.output import JsonOption, document
from kinemill.errors import BadInput
from kinemill.store import Home, to_json_value


def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="TASK:A",
            help="First version: TASK:3 or TASK@champion.",
            autocompletion=complete_model,
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B",
            help="Second version: TASK:4, 4 or @challenger.",
            autocompletion=complete_model,
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Compare two versions on the same test split.

    Shows errors by channel and by steps ahead.

    Example: kinemill model compare my_robot:3 4
    """
    from kinemill.api.models import address_of
    from kinemill.cli.comparison_tables import comparison_tables
    from kinemill.register.version_comparison import compare as measure

    task, first = address_of(a)
    second = f":{b}" if b.isdigit() else b
    if not second.startswith((":", "@")):
        second_task, second = address_of(b)
        if second_task.name != task.name:
            raise BadInput(
                b, f"belongs to task {second_task.name}", expected=f"a version of {task.name}"
            )
    comparison = measure(task, Home.resolve(), first, second)
    if as_json:
        document(to_json_value(comparison))
        return
    comparison_tables(comparison)
