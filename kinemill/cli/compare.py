"""`kinemill model compare`: two versions on the same test split, as a table and a page."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.completion import complete_model
from kinemill.cli.output import JsonOption, document, interval, quantity, table
from kinemill.errors import BadInput
from kinemill.register.comparison_results import (
    ComparedChannel,
    DynamicsComparison,
    PolicyComparison,
)
from kinemill.store import publish_document, publish_file, to_json_value
from kinemill.store.home import Home
from kinemill.verify.comparison import Comparison
from kinemill.verify.phrases import counted


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
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Output folder for report.html and comparison.json."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions on the same test split.

    Shows errors by channel and by steps ahead.

    Example: kinemill model compare my_robot:3 4
    """
    from kinemill.api.models import address_of
    from kinemill.register.comparison_page import comparison_page
    from kinemill.register.version_comparison import compare as measure
    from kinemill.register.version_comparison import comparison_document

    task, first = address_of(a)
    second = f":{b}" if b.isdigit() else b
    if not second.startswith((":", "@")):
        other, second = address_of(b)
        if other.name != task.name:
            raise BadInput(b, f"belongs to task {other.name}", expected=f"a version of {task.name}")
    comparison = comparison_document(measure(task, Home.resolve(), first, second))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        publish_document(out / "comparison.json", comparison)
        publish_file(out / "report.html", comparison_page(comparison).encode())
    if as_json:
        folder = {"folder": str(out.resolve())} if out else {}
        document(to_json_value(comparison) | folder)
        return
    if comparison.form == "policy":
        _print_policy(comparison)
    else:
        _print_dynamics(comparison)
    if out is not None:
        typer.echo(f"report  {out.resolve()}/report.html")


def _print_policy(comparison: PolicyComparison) -> None:
    rows = [
        [what, metric.a, metric.b, metric.difference]
        for what, metric in comparison.trial_metrics.items()
    ]
    title = f"{comparison.task}, {len(comparison.episodes)} starts"
    table(title, ["on average", *comparison.names, "difference"], rows)
    ends = interval(comparison.returns.interval)
    better = comparison.winner or "neither, the difference is not significant"
    typer.echo(f"better: {better} (return, start by start: {ends})")


def _print_dynamics(comparison: DynamicsComparison) -> None:
    names, windows, nrmse = comparison.names, comparison.windows, comparison.nrmse
    rows: list[list[Any]] = [
        [channel, line.unit, line.a.rmse, line.b.rmse, line.ratio]
        for channel, line in comparison.channels.items()
    ]
    rows.append(["nrmse", "", nrmse.a, nrmse.b, nrmse.ratio])
    title = f"{comparison.task}, RMSE {windows.seconds:.4g} s ahead"
    table(title, ["channel", "unit", *names, "ratio"], rows)
    _print_steps(comparison)
    _print_horizons(comparison)
    better = comparison.winner or "neither, the difference is not significant"
    amount = f"{windows.effective_n:.2g} independent {windows.unit}"
    typer.echo(f"better: {better} (ratio on the same rows: {interval(nrmse.interval)}, {amount})")
    for line in comparison.differs:
        typer.echo(f"differs: {line}")


def _print_steps(comparison: DynamicsComparison) -> None:
    last = comparison.windows.horizon
    steps = sorted({1, (last + 1) // 2, last})
    rows = [
        [channel, line.unit, *(_pair_text(line, step) for step in steps)]
        for channel, line in comparison.channels.items()
    ]
    heads = [counted(step, "steps") for step in steps]
    title = f"error by steps ahead, {' / '.join(comparison.names)}"
    table(title, ["channel", "unit", *heads], rows)


def _print_horizons(comparison: DynamicsComparison) -> None:
    from kinemill.register.gate.rules.no_worse import at_horizon

    horizons = comparison.horizons
    rows = [[at_horizon(key), *map(_ratio, by.values())] for key, by in horizons.items()]
    heads = ["", *next(iter(horizons.values()))]
    table(f"error of {' / '.join(reversed(comparison.names))}", heads, rows)


def _ratio(one: Comparison) -> str:
    """Return a ratio as text, with a word if the difference is significant."""
    if not math.isfinite(one.ratio):
        return "diverges"
    text = quantity(one.ratio, 3)
    return f"{text} worse" if one.low > 1.0 else f"{text} better" if one.high < 1.0 else text


def _pair_text(line: ComparedChannel, step: int) -> str:
    return " / ".join(quantity(side.by_step[step - 1], 3) for side in (line.a, line.b))
