"""`kinemill model compare`: two versions on the same test split, as a table and a page."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.completion import complete_model
from kinemill.cli.output import Json, document, interval, quantity, table


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
    as_json: Json = False,
) -> None:
    """Compare two versions on the same test split.

    Shows errors by channel and by steps ahead.

    Example: kinemill model compare my_robot:3 4
    """
    from kinemill.cli.model_ref import address_of
    from kinemill.errors import BadInput
    from kinemill.register.comparison_page import comparison_page
    from kinemill.register.version_comparison import compare as measure
    from kinemill.register.version_comparison import comparison_document
    from kinemill.store import publish_file, publish_json
    from kinemill.store.home import Home

    task, first = address_of(a)
    second = f":{b}" if b.isdigit() else b
    if not second.startswith((":", "@")):
        other, second = address_of(b)
        if other.name != task.name:
            raise BadInput(b, f"is of task {other.name}", expected=f"a version of {task.name}")
    comparison = comparison_document(measure(task, Home.resolve(), first, second))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        publish_json(out / "comparison.json", comparison)
        publish_file(out / "report.html", comparison_page(comparison).encode())
        comparison["folder"] = str(out.resolve())
    if as_json:
        document(comparison)
    elif comparison.get("form") == "policy":
        _print_policy(comparison)
    else:
        _print_dynamics(comparison)


def _print_policy(comparison: dict[str, Any]) -> None:
    names = {side: f"version {comparison[side]['version']}" for side in "ab"}
    rows = [
        [what, comparison[what]["a"], comparison[what]["b"], comparison[what]["difference"]]
        for what in ("return", "success")
        if what in comparison
    ]
    title = f"{comparison['task']}, {comparison['windows']['episodes']} starts"
    table(title, ["on average", *names.values(), "difference"], rows)
    ends = interval(comparison["return"]["interval"])
    better = names.get(comparison["better"], "neither, surely")
    typer.echo(f"better: {better} (return, start by start: {ends})")
    if "folder" in comparison:
        typer.echo(f"report  {comparison['folder']}/report.html")


def _print_dynamics(comparison: dict[str, Any]) -> None:
    names = [f"version {comparison[side]['version']}" for side in "ab"]
    rows: list[list[Any]] = [
        [channel, line["unit"], line["a"]["rmse"], line["b"]["rmse"], line["ratio"]]
        for channel, line in comparison["channels"].items()
    ]
    nrmse = comparison["nrmse"]
    rows.append(["nrmse", "", nrmse["a"], nrmse["b"], nrmse["ratio"]])
    title = f"{comparison['task']}, RMSE {comparison['windows']['seconds']:.4g} s ahead"
    table(title, ["channel", "unit", *names, "ratio"], rows)
    _print_steps(comparison, names)
    _print_horizons(comparison, names)
    better = {"a": names[0], "b": names[1], None: "neither, surely"}[comparison["better"]]
    ends = interval(nrmse["interval"])
    amount = (
        f"{comparison['windows']['effective_n']:.2g} independent {comparison['windows']['unit']}"
    )
    typer.echo(f"better: {better} (ratio on the same rows: {ends}, {amount})")
    for line in comparison["differs"]:
        typer.echo(f"differs: {line}")
    if "folder" in comparison:
        typer.echo(f"report  {comparison['folder']}/report.html")


def _print_steps(comparison: dict[str, Any], names: list[str]) -> None:
    last = comparison["windows"]["horizon"]
    steps = sorted({1, (last + 1) // 2, last})
    rows = [
        [channel, line["unit"], *(_pair_text(line, step) for step in steps)]
        for channel, line in comparison["channels"].items()
    ]
    heads = [f"{step} steps" if step > 1 else "1 step" for step in steps]
    table(f"error by steps ahead, {names[0]} / {names[1]}", ["channel", "unit", *heads], rows)


def _print_horizons(comparison: dict[str, Any], names: list[str]) -> None:
    from kinemill.register.gate.rules.no_worse import at_horizon

    rows = [
        [at_horizon(key), _ratio(by["nrmse"]), *map(_ratio, by["channels"].values())]
        for key, by in comparison["horizons"].items()
    ]
    heads = ["", "nrmse", *next(iter(comparison["horizons"].values()))["channels"]]
    table(f"error of {names[1]} / {names[0]}", heads, rows)


def _ratio(one: dict[str, Any]) -> str:
    """Spell a ratio, with a word if the difference is significant."""
    if one["ratio"] is None:
        return "diverges"
    low, high = one["interval"]
    text = quantity(one["ratio"], 3)
    if low is None:
        return text
    return f"{text} worse" if low > 1.0 else f"{text} better" if high < 1.0 else text


def _pair_text(line: dict[str, Any], step: int) -> str:
    return " / ".join(quantity(line[side]["by_step"][step - 1], 3) for side in "ab")
