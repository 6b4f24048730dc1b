"""`kinemill model evaluate`: measure a model on logs, and a policy in an environment."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.model_ref import ModelFolder, ModelName, named_model
from kinemill.cli.output import (
    JsonOption,
    Overrides,
    document,
    logs_path,
    notify,
    quantity,
    table,
    wrap_text,
)
from kinemill.errors import BadInput
from kinemill.store import to_json_value
from kinemill.task import parse_overrides
from kinemill.verify.document import LogEvaluation
from kinemill.verify.results import ChannelAccuracy

ShadowOption = Annotated[
    bool, typer.Option("--shadow", help="Compare champion and challenger on new logs.")
]


def evaluate(
    model: ModelName,
    logs: Annotated[
        Path | None, typer.Option("--logs", help="Log file, or folder of logs.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Output folder for report, plots and metrics.")
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", min=0, help="Number of example rollouts.")
    ] = 3,
    horizon: Annotated[
        int | None, typer.Option("--horizon", min=1, help="Steps ahead; default: verify.horizon.")
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option("--stride", min=1, help="Rows between starts; default: verify.stride."),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option("--episodes", min=0, help="Policies: trials; default: environment.trials."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", help="Policies: variant of the environment.")
    ] = None,
    folder: ModelFolder = None,
    shadow: ShadowOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="With --shadow: check for new logs every 5 s.")
    ] = False,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on logs, or a policy in an environment.

    Models: errors by channel and step, free run, residuals and examples.
    Policies: differences from logged actions, returns and success.

    Example: kinemill model evaluate my_robot --logs path/to/logs --out report
    """
    from kinemill.api.models import address_of
    from kinemill.cli.evaluate_policy import PolicyOptions, evaluate_policy
    from kinemill.cli.shadow import run_shadow

    named, _ = address_of(model)
    if shadow:
        run_shadow(model, logs, overrides or [], watch=watch, as_json=as_json)
    elif named.learn.gives == "policy":
        policy = PolicyOptions(logs, out, episodes, variant, horizon, stride)
        evaluate_policy(model, folder, policy, overrides or [], as_json=as_json)
    elif episodes is not None or variant is not None:
        raise BadInput("--episodes and --variant", "need a policy", fix="omit them")
    elif logs is None or out is None:
        raise BadInput("evaluate", "has no input", expected="--logs and --out, or --shadow")
    else:
        options = _Options(logs, out, examples, horizon, stride)
        _evaluate(model, folder, options, overrides or [], as_json=as_json)


@dataclass(frozen=True)
class _Options:
    """Options of `evaluate`; None: the value of the task."""

    logs: Path
    out: Path
    examples: int
    horizon: int | None
    stride: int | None


def _evaluate(
    model: str, folder: Path | None, options: _Options, overrides: list[str], *, as_json: bool
) -> None:
    from kinemill.api.evaluation import evaluate as measure

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
    from kinemill.cli.summary import comparison_table, errors_table, growth_table
    from kinemill.verify.findings import best_in
    from kinemill.verify.headline import headline
    from kinemill.verify.output_errors import output_lines
    from kinemill.verify.phrases import counted

    windows, logs = evaluation.windows, evaluation.logs
    typer.echo(wrap_text(headline(evaluation).text))
    title = f"{evaluation.task}{evaluation.source.name}, RMSE {windows.seconds:.4g} s ahead"
    errors_table(evaluation.metrics, title=title)
    comparison_table(evaluation)
    growth_table(evaluation.accuracy, best_in(evaluation))
    _print_model(evaluation)
    if evaluation.outputs:
        table("outputs, predicted but not fed back", *output_lines(evaluation.outputs))
    notify(*evaluation.notes)
    worth = counted(windows.effective_n, f"independent {windows.unit}")
    typer.echo(
        f"{windows.count} windows of {logs.episodes} episodes, {logs.rows} rows; "
        f"worth {worth}\n"
        f"report  {folder}/report.html"
    )


def _print_model(evaluation: LogEvaluation) -> None:
    """Print further results of the model: MAE, free run, whiteness."""
    own, analysis = evaluation.accuracy["model"].channels, evaluation.analysis
    if analysis is None:
        return
    free, residuals = analysis.free_run["model"].rmse, analysis.residuals.channels
    rows = [
        [
            *(name, line.unit, _interval(line), quantity(line.mae), quantity(free[name])),
            residuals[name].ljung_box.p,
        ]
        for name, line in own.items()
    ]
    columns = ["channel", "unit", "RMSE, 95 %", "MAE", "free run, RMSE", "Ljung-Box p"]
    table("this model", columns, rows)


def _interval(line: ChannelAccuracy) -> str:
    low, high = line.interval
    return f"{quantity(low, 3)} to {quantity(high, 3)}" if math.isfinite(low) else ""
