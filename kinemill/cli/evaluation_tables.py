"""Tables of `kinemill model evaluate`: a dynamics model on logs, and a policy."""

import numpy as np
import typer

from kinemill.api.models import displayed_model
from kinemill.cli.output import notify, quantity, spell_ends, table, wrap_text
from kinemill.cli.summary import comparison_table, errors_table, growth_table
from kinemill.verify.document import ActionCurves, LogEvaluation, PolicyEvaluation
from kinemill.verify.findings import best_in
from kinemill.verify.headline import headline
from kinemill.verify.output_errors import output_lines
from kinemill.verify.phrases import counted, samples


def dynamics_tables(evaluation: LogEvaluation) -> None:
    """Print the errors at the horizon, and their growth."""
    windows = evaluation.windows
    logs = evaluation.logs
    typer.echo(wrap_text(headline(evaluation).text))
    model = displayed_model(evaluation.task, evaluation.source.name)
    title = f"{model}, RMSE {windows.seconds:.4g} s ahead"
    errors_table(evaluation.metrics, title=title)
    comparison_table(evaluation)
    growth_table(evaluation.accuracy, best_in(evaluation))
    _print_model(evaluation)
    if evaluation.outputs:
        table("outputs, predicted but not fed back", *output_lines(evaluation.outputs))
    notify(*evaluation.notes)
    worth = samples(windows.effective_n, windows.unit)
    typer.echo(
        f"{windows.count} windows of {counted(logs.episodes, 'episodes')}, "
        f"{logs.rows} rows; "
        f"as informative as {worth}"
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
            *(
                name,
                line.unit,
                spell_ends(line.interval, ""),
                quantity(line.mae),
                quantity(free[name]),
            ),
            residuals[name].ljung_box.p,
        ]
        for name, line in channels.items()
    ]
    columns = ["channel", "unit", "RMSE, 95 %", "MAE", "free run, RMSE", "Ljung-Box p"]
    table("this model", columns, rows)


def policy_tables(evaluation: PolicyEvaluation) -> None:
    """Print differences from logged actions, and trials in the environment."""
    typer.echo(displayed_model(evaluation.task, evaluation.source.name))
    if evaluation.actions is not None and evaluation.logs is not None:
        _print_actions(evaluation)
    if evaluation.curves is not None:
        _print_curves(evaluation.curves)
    if evaluation.trials:
        _print_trials(evaluation)
    notify(*evaluation.notes)


def _print_actions(evaluation: PolicyEvaluation) -> None:
    assert evaluation.actions is not None
    assert evaluation.logs is not None
    accuracy = evaluation.actions["model"]
    repeat = evaluation.actions.get("repeat")
    rows: list[list[object]] = [
        [
            *(name, line.unit, line.rmse, spell_ends(line.interval), line.mae),
            *([repeat.channels[name].rmse] if repeat else []),
        ]
        for name, line in accuracy.channels.items()
    ]
    mean = ("nrmse", "", accuracy.nrmse, spell_ends(accuracy.nrmse_interval), "")
    rows.append([*mean, *([repeat.nrmse] if repeat else [])])
    logs = evaluation.logs
    title = (
        f"difference from the logged action, {counted(logs.episodes, 'episodes')}, {logs.rows} rows"
    )
    columns = ["action", "unit", "RMSE", "95 %", "MAE"]
    table(title, columns + (["RMSE, repeat last"] if repeat else []), rows)


def _print_curves(curves: ActionCurves) -> None:
    """Print the differences by quarter of the episode, and after a reset."""
    seconds = np.asarray(curves.seconds)
    picked = sorted({round(k * (len(seconds) - 1) / 3) for k in range(4)})
    heads = [f"{seconds[k]:.3g} s" for k in picked]
    rows: list[list[object]] = [
        [name, channel.unit, *(channel.by_time[k] for k in picked)]
        for name, channel in curves.channels.items()
    ]
    table("over the time of an episode", ["action", "unit", *heads], rows)
    steps = [channel.by_step for channel in curves.channels.values() if channel.by_step is not None]
    if not steps:
        return
    last = len(steps[0])
    picked = sorted({0, last // 3, 2 * last // 3, last - 1})
    heads = [f"{k * curves.dt:.3g} s" for k in picked]
    rows = [
        [name, channel.unit, *(channel.by_step[k] for k in picked)]
        for name, channel in curves.channels.items()
        if channel.by_step is not None
    ]
    table("after a reset of its memory", ["action", "unit", *heads], rows)


def _print_trials(evaluation: PolicyEvaluation) -> None:
    rows = list[list[object]]()
    for who, trial in evaluation.trials.items():
        success = "" if trial.success is None else f"{trial.success:.0%}"
        ends = trial.success_interval
        within = "" if ends is None else f"{ends[0]:.0%} to {ends[1]:.0%}"
        lengths = f"{np.mean(trial.lengths):.4g} ({min(trial.lengths)} to {max(trial.lengths)})"
        rows.append(
            [who, trial.mean_return, spell_ends(trial.return_interval), success, within, lengths]
        )
    episodes = len(evaluation.trials["model"].returns)
    title = f"{counted(episodes, 'episodes')} in {evaluation.environment}"
    table(title, ["actions of", "return", "95 %", "success", "95 %", "steps"], rows)
    for who, gain in evaluation.gains.items():
        ends = spell_ends(gain.returns)
        typer.echo(f"return minus that of {who} from the same starts, 95 %: {ends}")
