"""`kinemill model evaluate` of a policy: on logs, and in an environment."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import typer

from kinemill.api.models import named_model
from kinemill.cli.output import document, logs_path, notify, quantity, table
from kinemill.store import to_json_value
from kinemill.task import parse_overrides
from kinemill.verify.document import ActionCurves, PolicyEvaluation


@dataclass(frozen=True)
class PolicyOptions:
    """Options of `evaluate` for policies; None: the value of the task."""

    data: Path | None
    to: Path | None
    episodes: int | None
    variant: str | None
    horizon: int | None
    stride: int | None


def evaluate_policy(
    model: str, folder: Path | None, options: PolicyOptions, overrides: list[str], *, as_json: bool
) -> None:
    """Measure a policy and print the results."""
    from kinemill.api.policy_evaluation import evaluate_policy as measure

    changed = parse_overrides(overrides)
    named, task = named_model(model, folder, changed)
    settings = asdict(options)
    if options.data is not None:
        settings["data"] = logs_path(options.data, "--logs")
    results = measure(named, task=task, overrides=changed, **settings)
    if as_json:
        more = {"folder": str(results.folder)} if results.folder else {}
        document(to_json_value(results.document) | more)
        return
    _print_results(results.document)
    if results.folder:
        typer.echo(f"report  {results.folder}/report.html")


def _print_results(evaluation: PolicyEvaluation) -> None:
    typer.echo(f"{evaluation.task}{evaluation.source.name}")
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
            *(name, line.unit, line.rmse, _ends(line.interval), line.mae),
            *([repeat.channels[name].rmse] if repeat else []),
        ]
        for name, line in accuracy.channels.items()
    ]
    mean = ("nrmse", "", accuracy.nrmse, _ends(accuracy.nrmse_interval), "")
    rows.append([*mean, *([repeat.nrmse] if repeat else [])])
    logs = evaluation.logs
    title = f"difference from the logged action, {logs.episodes} episodes, {logs.rows} rows"
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
            [who, trial.mean_return, _ends(trial.return_interval), success, within, lengths]
        )
    episodes = len(evaluation.trials["model"].returns)
    title = f"{episodes} episodes in {evaluation.environment}"
    table(title, ["actions of", "return", "95 %", "success", "95 %", "steps"], rows)
    for who, gain in evaluation.gains.items():
        low, high = gain.returns
        ends = f"{quantity(low)} to {quantity(high)}"
        typer.echo(f"return minus that of {who} from the same starts, 95 %: {ends}")


def _ends(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{quantity(low, 3)} to {quantity(high, 3)}" if np.isfinite(low) else "no interval"
