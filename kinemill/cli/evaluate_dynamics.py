"""`kinemill model evaluate` of a dynamics model: on logs."""

import math
from dataclasses import dataclass
from pathlib import Path

import typer

from kinemill.api.evaluation import evaluate as measure
from kinemill.api.models import named_model
from kinemill.cli.output import document, logs_path, notify, quantity, table, wrap_text
from kinemill.cli.summary import comparison_table, errors_table, growth_table
from kinemill.store import to_json_value
from kinemill.task import parse_overrides
from kinemill.verify.document import LogEvaluation
from kinemill.verify.findings import best_in
from kinemill.verify.headline import headline
from kinemill.verify.output_errors import output_lines
from kinemill.verify.phrases import samples
from kinemill.verify.results import ChannelAccuracy


@dataclass(frozen=True)
class DynamicsOptions:
    """Options of `evaluate` for dynamics models; None: the value of the task."""

    logs: Path
    out: Path
    examples: int
    horizon: int | None
    stride: int | None


def evaluate_dynamics(
    model: str,
    folder: Path | None,
    options: DynamicsOptions,
    overrides: list[str],
    *,
    as_json: bool,
) -> None:
    """Measure a dynamics model on logs and print the results."""
    changed = parse_overrides(overrides)
    named, task = named_model(model, folder, changed)
    evaluation = measure(
        named,
        logs_path(options.logs, "--logs"),
        task=task,
        horizon=options.horizon,
        stride=options.stride,
        examples=options.examples,
        to=options.out,
        overrides=changed,
    )
    out = options.out.resolve()
    if as_json:
        document(to_json_value(evaluation.document) | {"folder": str(out)})
    else:
        _print_summary(evaluation.document, out)


def _print_summary(evaluation: LogEvaluation, folder: Path) -> None:
    """Print the errors at the horizon, their growth, and the path of the report."""
    windows = evaluation.windows
    logs = evaluation.logs
    typer.echo(wrap_text(headline(evaluation).text))
    title = f"{evaluation.task}{evaluation.source.name}, RMSE {windows.seconds:.4g} s ahead"
    errors_table(evaluation.metrics, title=title)
    comparison_table(evaluation)
    growth_table(evaluation.accuracy, best_in(evaluation))
    _print_model(evaluation)
    if evaluation.outputs:
        table("outputs, predicted but not fed back", *output_lines(evaluation.outputs))
    notify(*evaluation.notes)
    worth = samples(windows.effective_n, windows.unit)
    typer.echo(
        f"{windows.count} windows of {logs.episodes} episodes, {logs.rows} rows; "
        f"as informative as {worth}\n"
        f"report  {folder}/report.html"
    )


def _print_model(evaluation: LogEvaluation) -> None:
    """Print further results of the model: MAE, free run, whiteness."""
    channels = evaluation.accuracy["model"].channels
    analysis = evaluation.analysis
    if analysis is None:
        return
    free = analysis.free_run["model"].rmse
    residuals = analysis.residuals.channels
    rows = [
        [
            *(name, line.unit, _interval(line), quantity(line.mae), quantity(free[name])),
            residuals[name].ljung_box.p,
        ]
        for name, line in channels.items()
    ]
    columns = ["channel", "unit", "RMSE, 95 %", "MAE", "free run, RMSE", "Ljung-Box p"]
    table("this model", columns, rows)


def _interval(line: ChannelAccuracy) -> str:
    low, high = line.interval
    return f"{quantity(low, 3)} to {quantity(high, 3)}" if math.isfinite(low) else ""
