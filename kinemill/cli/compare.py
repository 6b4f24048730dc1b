"""`kinemill model compare`: two versions on the same test split, as a table and a page."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.completion import complete_model
from kinemill.cli.output import Output
from kinemill.errors import BadInput
from kinemill.store import Home, publish_document, publish_file, to_json_value


def compare(
    a: Annotated[str, typer.Argument(metavar="TASK:A", autocompletion=complete_model)],
    b: Annotated[str, typer.Argument(metavar="B", autocompletion=complete_model)] = "@champion",
    out: Path | None = None,
) -> Output:
    """Compare two versions on the same test split.

    Shows errors by channel and by steps ahead.

    Example: kinemill model compare my_robot:3 4

    Args:
        a: First version: TASK:3 or TASK@champion.
        b: Second version: TASK:4, 4 or @challenger.
        out: Output folder for report.html and comparison.json.
    """
    from kinemill.api.models import address_of
    from kinemill.cli.comparison_tables import comparison_tables
    from kinemill.register.comparison_page import comparison_page
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
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        publish_document(out / "comparison.json", comparison)
        publish_file(out / "report.html", comparison_page(comparison).encode())
    folder = {"folder": str(out.resolve())} if out else {}
    return Output(
        to_json_value(comparison) | folder,
        lambda: comparison_tables(comparison),
        *([f"report  {out.resolve()}/report.html"] if out else []),
    )
