"""Tables of two versions on the same test split: errors, or returns, and which is better."""

import math

import typer

from kinemill.cli.output import interval, quantity, table, wrap_text
from kinemill.cli.summary import steps_table
from kinemill.register.comparison_results import DynamicsComparison, PolicyComparison
from kinemill.verify.comparison import Comparison
from kinemill.verify.findings import horizon_words
from kinemill.verify.phrases import samples


def comparison_tables(comparison: DynamicsComparison | PolicyComparison) -> None:
    """Print a comparison of two dynamics models or two policies."""
    if comparison.form == "policy":
        _print_policy(comparison)
    else:
        _print_dynamics(comparison)
    if comparison.trials_text:
        typer.echo(wrap_text(comparison.trials_text))


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
    names = comparison.names
    windows = comparison.windows
    nrmse = comparison.nrmse
    rows: list[list[object]] = [
        [channel, line.unit, line.a.rmse, line.b.rmse, line.ratio]
        for channel, line in comparison.channels.items()
    ]
    rows.append(["nrmse", "", nrmse.a, nrmse.b, nrmse.ratio])
    title = f"{comparison.task}, RMSE {windows.seconds:.4g} s ahead"
    table(title, ["channel", "unit", *names, "ratio"], rows)
    steps_table(names, {channel: [line.a, line.b] for channel, line in comparison.channels.items()})
    _print_horizons(comparison)
    better = comparison.winner or "neither, the difference is not significant"
    amount = samples(windows.effective_n, windows.unit)
    ratio = f"ratio on the same rows: {interval(nrmse.interval)}, {amount}"
    typer.echo(wrap_text(f"better: {better} ({ratio})"))
    for line in comparison.differs:
        typer.echo(wrap_text(f"differs: {line}"))


def _print_horizons(comparison: DynamicsComparison) -> None:
    horizons = comparison.horizons
    rows = [[horizon_words(key), *map(_ratio, by.values())] for key, by in horizons.items()]
    heads = ["", *next(iter(horizons.values()))]
    table(f"error of {' / '.join(reversed(comparison.names))}", heads, rows)


def _ratio(comparison: Comparison) -> str:
    """Return a ratio as text, with a word if the difference is significant."""
    if not math.isfinite(comparison.ratio):
        return "diverges"
    text = quantity(comparison.ratio, 3)
    return (
        f"{text} worse"
        if comparison.low > 1.0
        else f"{text} better"
        if comparison.high < 1.0
        else text
    )
