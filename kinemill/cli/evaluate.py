"""`kinemill model evaluate`: measure a model on logs, next to references and the champion."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.model_ref import (
    LoadedModel,
    ModelFolder,
    ModelName,
    address_of,
    load_model,
    load_policy_model,
)
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
from kinemill.dataset import PackedDataset
from kinemill.runtime.simulator import Simulator
from kinemill.store import ArtifactRef
from kinemill.verify.document import LogEvaluation, PolicyEvaluation
from kinemill.verify.results import ChannelAccuracy


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
    folder: ModelFolder = None,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Compare champion and challenger on new logs."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="With --shadow: check for new logs every 5 s.")
    ] = False,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the errors of a model on logs.

    Reports errors by channel and step, free run, residuals and examples.

    Example: kinemill model evaluate my_robot --logs path/to/logs --out report
    """
    from kinemill.cli.shadow import run_shadow
    from kinemill.errors import BadInput

    named, _ = address_of(model)
    if shadow:
        run_shadow(model, logs, overrides or [], watch=watch, as_json=as_json)
    elif named.learn.gives == "policy":
        _evaluate_policy(model, folder, (logs, out), overrides or [], as_json=as_json)
    elif logs is None or out is None:
        raise BadInput("evaluate", "says too little", expected="--logs and --out, or --shadow")
    else:
        options = _Options(logs, out, examples, horizon, stride)
        _evaluate(model, folder, options, overrides or [], as_json=as_json)


@dataclass(frozen=True)
class _Options:
    """Options of `evaluate`; None stands for the value of the task."""

    logs: Path
    out: Path
    examples: int
    horizon: int | None
    stride: int | None


def _evaluate(
    model: str, folder: Path | None, options: _Options, overrides: list[str], *, as_json: bool
) -> None:
    from kinemill.store import to_json_value
    from kinemill.task import parse_overrides
    from kinemill.verify.analysis import Measurement
    from kinemill.verify.document import EvaluatedModel
    from kinemill.verify.evaluation import (
        Evaluation,
        evaluate_logs,
        refusal_note,
        write_evaluation,
    )
    from kinemill.verify.figures import ranked_examples
    from kinemill.verify.logs import SPLIT, read_logs
    from kinemill.verify.output_errors import output_accuracy

    loaded = load_model(model, folder, parse_overrides(overrides))
    read = read_logs(loaded.task, loaded.home, logs_path(options.logs, "--logs"))
    verify = loaded.task.verify
    horizon = options.horizon or verify.horizon
    training, why = _training_rows(loaded)
    (predictors, whole), notes, scale = _predictors(loaded, read, horizon, (training, why))
    measurement = Measurement(
        horizon,
        options.stride or verify.stride,
        loaded.task.promote.margin,
        scale,
    )
    analysis = evaluate_logs(loaded.simulator, predictors, read, measurement, whole)
    picked = ranked_examples(analysis.model, options.examples) if options.examples else []
    notes += refusal_note(read)
    steps = horizon, measurement.stride
    rows = training[1] if training else None
    outputs = output_accuracy(loaded.simulator, read.rows, rows, SPLIT, steps)
    source = EvaluatedModel(**loaded.to_json())
    evaluation = Evaluation(read, analysis, picked, source, notes, outputs)
    out = options.out.resolve()
    written = write_evaluation(evaluation, out)
    if as_json:
        document(to_json_value(written) | {"folder": str(out)})
    else:
        _print_summary(written, out)


def _evaluate_policy(
    model: str,
    folder: Path | None,
    paths: tuple[Path | None, Path | None],
    overrides: list[str],
    *,
    as_json: bool,
) -> None:
    from kinemill.environments.evaluation import try_policy
    from kinemill.errors import BadInput
    from kinemill.store import publish_document, to_json_value
    from kinemill.task import parse_overrides
    from kinemill.verify.document import EVALUATION, EvaluatedModel
    from kinemill.verify.logs import read_logs
    from kinemill.verify.policies.action_errors import action_errors, policy_evaluation
    from kinemill.verify.policies.trials import trial_seeds

    (logs, out), loaded = paths, load_policy_model(model, folder, parse_overrides(overrides))
    task, policy = loaded.task, loaded.simulator
    if logs is None and task.environment is None:
        raise BadInput("evaluate", "says too little", expected="--logs: no environment to act in")
    read = read_logs(task, loaded.home, logs.resolve()) if logs else None
    errors = action_errors(policy, read) if read else None
    trials = try_policy(task, policy, trial_seeds(task)) if task.environment else None
    source = EvaluatedModel(**loaded.to_json())
    evaluation = policy_evaluation(task.name, source, read, errors, trials)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        publish_document(out / EVALUATION, evaluation)
    if as_json:
        document(to_json_value(evaluation))
    else:
        _print_policy(evaluation)


def _print_policy(evaluation: PolicyEvaluation) -> None:
    title = f"{evaluation.task}{evaluation.source.name}"
    if evaluation.actions is not None:
        own, repeat = evaluation.actions["model"], evaluation.actions["repeat"]
        rows = [
            [name, line.unit, line.rmse, line.mae, repeat.channels[name].rmse]
            for name, line in own.channels.items()
        ]
        rows.append(["nrmse", "", own.nrmse, "", repeat.nrmse])
        columns = ["action", "unit", "RMSE", "MAE", "repeat the last, RMSE"]
        table(f"{title}, actions that differ from the logged ones", columns, rows)
    if evaluation.logs is not None:
        typer.echo(f"{evaluation.logs.episodes} episodes, {evaluation.logs.rows} rows")
    trials = evaluation.environment
    if trials is not None:
        rows = [
            ["return", trials.mean_return],
            ["success", trials.success],
            ["steps", trials.steps],
        ]
        table(f"{title}, {trials.episodes} episodes in its environment", ["mean", ""], rows)


Predictors = dict[str, Any]


def _predictors(
    loaded: LoadedModel,
    logs: Any,
    horizon: int,
    training_and_reason: tuple[tuple[ArtifactRef, PackedDataset] | None, str],
) -> tuple[tuple[Predictors, Predictors], list[str], Any]:
    """Return the models to compare with, notes about them, and the scale of errors.

    The models are by name: over windows, then over whole episodes. The scale is the standard
    deviation of the training rows, or None if these are unknown.
    """
    from kinemill.verify.evaluation import references_for
    from kinemill.verify.references import Persistence
    from kinemill.verify.scale import training_scale

    notes = list[str]()
    training, why = training_and_reason
    if training is None:
        predictors: Predictors = {"persistence": Persistence()}
        whole = dict(predictors)
        notes.append(f"the linear models are left out, as they are fitted on training rows: {why}")
    else:
        references = references_for(loaded.task, loaded.home, training[0], logs, horizon)
        predictors, whole = references.predictors(), references.free_run()
    champion, why = _champion(loaded)
    if champion is not None:
        predictors["champion"] = whole["champion"] = champion
    elif why:
        notes.append(f"no champion beside it: {why}")
    scale = training_scale(training[1]) if training is not None else _stated_scale(loaded)
    if scale is None:
        notes.append("errors are normalized by the spread of these logs, not of the training rows")
    return (predictors, whole), notes, scale


def _stated_scale(loaded: LoadedModel) -> Any:
    """Return the scale of errors in the bundle of a model, or None."""
    from kinemill.verify.document import VERIFICATION, read_verification
    from kinemill.verify.scale import stated_scale

    if not (loaded.folder / VERIFICATION).is_file():
        return None
    accuracy = read_verification(loaded.folder).accuracy
    return stated_scale(accuracy, loaded.simulator.interface.states)


def _training_rows(loaded: LoadedModel) -> tuple[tuple[ArtifactRef, PackedDataset] | None, str]:
    """Return the dataset that the model was trained on: ref and rows; or None and the reason."""
    from kinemill.dataset import find_version, load_dataset
    from kinemill.errors import BadInput, CorruptArtifact
    from kinemill.verify.files import unlike

    interface = loaded.simulator.interface
    try:
        version = find_version(loaded.home, loaded.task.name, interface.dataset)
        rows = load_dataset(loaded.home, version.ref)
    except (BadInput, CorruptArtifact) as error:
        return None, str(error)
    if differing := unlike(interface, rows):
        return None, f"the dataset has other {'; '.join(differing)}"
    return (version.ref, rows), ""


def _champion(loaded: LoadedModel) -> tuple[Simulator | None, str]:
    """Return the champion, unless it is the model itself."""
    from kinemill.errors import CorruptArtifact
    from kinemill.register.bundle import model_digest
    from kinemill.register.champion import load_champion
    from kinemill.runtime import load

    try:
        champion = load_champion(loaded.home, loaded.task.name)
    except CorruptArtifact as error:
        return None, str(error)
    if champion is None or champion.version == loaded.version:
        return None, ""
    if loaded.version is None and champion.model == model_digest(loaded.folder):
        return None, ""
    simulator = load(champion.folder, non_finite="pass")
    own, other = loaded.simulator.interface, simulator.interface
    if (own.states, own.actions, own.dt) != (other.states, other.actions, other.dt):
        return None, f"version {champion.version} has other channels or another time step"
    return simulator, ""


def _print_summary(evaluation: LogEvaluation, folder: Path) -> None:
    """Print the errors at the horizon, their growth, and where the report is."""
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
    for note in evaluation.notes:
        notify(note)
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
    table("the model itself", columns, rows)


def _interval(line: ChannelAccuracy) -> str:
    low, high = line.interval
    return f"{quantity(low, 3)} to {quantity(high, 3)}" if math.isfinite(low) else ""
