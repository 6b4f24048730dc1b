"""`kinemill model evaluate`: measure a model on logs, next to references and the champion."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.model_ref import Chosen, ModelFolder, ModelName, address_of, choose, choose_policy
from kinemill.cli.output import Json, Overrides, document, logs_path, news, quantity, table, wrapped


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
    as_json: Json = False,
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
        asked = _Asked(logs, out, examples, horizon, stride)
        _evaluate(model, folder, asked, overrides or [], as_json=as_json)


@dataclass(frozen=True)
class _Asked:
    """Options of `evaluate`; None stands for the task's own."""

    logs: Path
    out: Path
    examples: int
    horizon: int | None
    stride: int | None


def _evaluate(
    model: str, folder: Path | None, asked: _Asked, overrides: list[str], *, as_json: bool
) -> None:
    from kinemill.task import parse_overrides
    from kinemill.verify.analysis import Measurement
    from kinemill.verify.evaluation import (
        Evaluation,
        evaluate_logs,
        refusal_note,
        write_evaluation,
    )
    from kinemill.verify.figures import ranked_examples
    from kinemill.verify.logs import read_logs

    chosen = choose(model, folder, parse_overrides(overrides))
    read = read_logs(chosen.task, chosen.home, logs_path(asked.logs, "--logs"))
    verify = chosen.task.verify
    horizon = asked.horizon or verify.horizon
    (rivals, whole), notes, scale = _rivals(chosen, read, horizon)
    measurement = Measurement(
        horizon,
        asked.stride or verify.stride,
        chosen.task.promote.margin,
        scale,
    )
    analysis = evaluate_logs(chosen.simulator, rivals, read, measurement, whole)
    picked = ranked_examples(analysis.model, asked.examples) if asked.examples else []
    notes += refusal_note(read)
    found = Evaluation(read, analysis, picked, chosen.to_json(), notes)
    written = write_evaluation(found, asked.out.resolve())
    if as_json:
        document(written)
    else:
        _tell(written)


def _evaluate_policy(
    model: str,
    folder: Path | None,
    places: tuple[Path | None, Path | None],
    overrides: list[str],
    *,
    as_json: bool,
) -> None:
    from kinemill.environments.evaluation import try_policy
    from kinemill.errors import BadInput
    from kinemill.store import publish_json
    from kinemill.task import parse_overrides
    from kinemill.verify.logs import read_logs
    from kinemill.verify.policies.action_errors import PolicyEvaluation, action_errors
    from kinemill.verify.policies.trials import trial_seeds

    (logs, out), chosen = places, choose_policy(model, folder, parse_overrides(overrides))
    task, policy = chosen.task, chosen.simulator
    if logs is None and task.environment is None:
        raise BadInput("evaluate", "says too little", expected="--logs: no environment to act in")
    read = read_logs(task, chosen.home, logs.resolve()) if logs else None
    errors = action_errors(policy, read) if read else None
    tried = try_policy(task, policy, trial_seeds(task)) if task.environment else None
    found = PolicyEvaluation(task.name, chosen.to_json(), read, errors, tried).document()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        publish_json(out / "evaluation.json", found)
    if as_json:
        document(found)
    else:
        _tell_policy(found)


def _tell_policy(found: dict[str, Any]) -> None:
    title = f"{found['task']}{found['model']['name']}"
    if "actions" in found:
        own, repeat = found["actions"]["model"], found["actions"]["repeat"]
        rows = [
            [name, line["unit"], line["rmse"], line["mae"], repeat["channels"][name]["rmse"]]
            for name, line in own["channels"].items()
        ]
        rows.append(["nrmse", "", own["nrmse"], "", repeat["nrmse"]])
        columns = ["action", "unit", "RMSE", "MAE", "repeat the last, RMSE"]
        table(f"{title}, actions that differ from the logged ones", columns, rows)
        typer.echo(f"{found['logs']['episodes']} episodes, {found['logs']['rows']} rows")
    if "environment" in found:
        tried = found["environment"]
        rows = [[name, tried[name]] for name in ("return", "success", "steps")]
        table(f"{title}, {tried['episodes']} episodes in its environment", ["mean", ""], rows)


Rivals = dict[str, Any]


def _rivals(
    chosen: Chosen, logs: Any, horizon: int
) -> tuple[tuple[Rivals, Rivals], list[str], Any]:
    """Return what the model is compared with, what has to be said about it, and the scale.

    What it is compared with is by name: over windows, then over whole episodes. The scale of errors
    is that of the training rows, or None where these are not known.
    """
    from kinemill.verify.evaluation import references_for
    from kinemill.verify.references import Persistence
    from kinemill.verify.scale import training_scale

    notes = list[str]()
    training, why = _training_rows(chosen)
    if training is None:
        rivals: Rivals = {"persistence": Persistence()}
        whole = dict(rivals)
        notes.append(f"the linear models are left out, as they are fitted on training rows: {why}")
    else:
        found = references_for(chosen.task, chosen.home, training[0], logs, horizon)
        rivals, whole = found.predictors(), found.free_run()
    champion, why = _champion(chosen)
    if champion is not None:
        rivals["champion"] = whole["champion"] = champion
    elif why:
        notes.append(f"no champion beside it: {why}")
    scale = training_scale(training[1]) if training is not None else _stated_scale(chosen)
    if scale is None:
        notes.append("errors are normalized by the spread of these logs, not of the training rows")
    return (rivals, whole), notes, scale


def _stated_scale(chosen: Chosen) -> Any:
    """Return the scale of errors that the bundle of a model states, or None."""
    from kinemill.store import read_json
    from kinemill.verify.scale import stated_scale

    document = chosen.folder / "verification.json"
    states = chosen.simulator.interface.states
    return stated_scale(read_json(document), states) if document.is_file() else None


def _training_rows(chosen: Chosen) -> tuple[Any, str]:
    """Return the dataset that the model learned from: ref and rows; or None and why it is not."""
    from kinemill.dataset import find_version, load_dataset
    from kinemill.errors import BadInput, CorruptArtifact
    from kinemill.verify.files import unlike

    interface = chosen.simulator.interface
    try:
        found = find_version(chosen.home, chosen.task.name, interface.dataset)
        rows = load_dataset(chosen.home, found.ref)
    except (BadInput, CorruptArtifact) as error:
        return None, str(error)
    if differing := unlike(interface, rows):
        return None, f"the dataset has other {'; '.join(differing)}"
    return (found.ref, rows), ""


def _champion(chosen: Chosen) -> tuple[Any, str]:
    """Return the champion, if there is another one than the model itself."""
    from kinemill.errors import CorruptArtifact
    from kinemill.register.bundle import model_digest
    from kinemill.register.champion import load_champion
    from kinemill.runtime import load

    try:
        found = load_champion(chosen.home, chosen.task.name)
    except CorruptArtifact as error:
        return None, str(error)
    if found is None or found.version == chosen.version:
        return None, ""
    if chosen.version is None and found.model == model_digest(chosen.folder):
        return None, ""
    simulator = load(found.folder, non_finite="pass")
    own, other = chosen.simulator.interface, simulator.interface
    if (own.states, own.actions, own.dt) != (other.states, other.actions, other.dt):
        return None, f"version {found.version} has other channels or another time step"
    return simulator, ""


def _tell(found: dict[str, Any]) -> None:
    """Print the errors at the horizon, how they grow, and where all the rest is."""
    from kinemill.cli.summary import comparison_table, errors_table, growth_table
    from kinemill.verify.findings import best_reference
    from kinemill.verify.headline import headline
    from kinemill.verify.phrases import counted

    windows, logs = found["windows"], found["logs"]
    typer.echo(wrapped(headline(found).text))
    title = f"{found['task']}{found['model']['name']}, RMSE {windows['seconds']:.4g} s ahead"
    errors_table({"test": found["metrics"], "nrmse": found["nrmse"]}, title=title)
    comparison_table(found)
    growth_table(found["accuracy"], best_reference(found))
    _tell_model(found)
    for note in found["notes"]:
        news(note)
    worth = counted(windows["effective_n"], f"independent {windows['unit']}")
    typer.echo(
        f"{windows['count']} windows of {logs['episodes']} episodes, {logs['rows']} rows; "
        f"worth {worth}\n"
        f"report  {found['folder']}/report.html"
    )


def _tell_model(found: dict[str, Any]) -> None:
    """Print what else is known of the model: MAE, free run, whiteness."""
    own, free = found["accuracy"]["model"]["channels"], found["free_run"]["model"]["rmse"]
    left = found["residuals"]["channels"]
    rows = [
        [
            *(name, line["unit"], _interval(line), quantity(line["mae"]), quantity(free[name])),
            left[name]["ljung_box"]["p"],
        ]
        for name, line in own.items()
    ]
    columns = ["channel", "unit", "RMSE, 95 %", "MAE", "free run, RMSE", "Ljung-Box p"]
    table("the model itself", columns, rows)


def _interval(line: dict[str, Any]) -> str:
    low, high = line["interval"]
    return "" if low is None else f"{quantity(low, 3)} to {quantity(high, 3)}"
