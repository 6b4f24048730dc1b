"""Evaluate a model on logs or frames, next to references and the champion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinemill.api.html import facts_table, image
from kinemill.api.models import (
    LoadedModel,
    ModelLike,
    load_policy_of,
    load_simulator_of,
)
from kinemill.data.frames import FrameLogs
from kinemill.errors import BadInput
from kinemill.runtime.policy import Policy
from kinemill.runtime.simulator import Simulator
from kinemill.store.home import Home
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.dataset import PackedDataset
    from kinemill.reports.picture import Picture
    from kinemill.runtime.window_metrics import Predictor
    from kinemill.store import ArtifactRef
    from kinemill.verify.document import LogEvaluation, PolicyEvaluation
    from kinemill.verify.evaluation import Evaluation as Measured
    from kinemill.verify.logs import Logs

Predictors = dict[str, "Predictor"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Errors of a dynamics model on logs.

    Attributes:
        document: all results, as `evaluation.json` has them.
        measured: predictions and errors behind the document, for plots.
        folder: folder of the report, or None.
    """

    document: "LogEvaluation"
    measured: "Measured" = field(repr=False)
    folder: Path | None

    @property
    def nrmse(self) -> float:
        """RMSE at the horizon over the spread in training, averaged over the channels."""
        return self.document.accuracy["model"].nrmse

    @property
    def rmse(self) -> dict[str, float]:
        """RMSE of the model at the horizon by channel, in its unit."""
        channels = self.document.accuracy["model"].channels
        return {name: line.rmse for name, line in channels.items()}

    @property
    def headline(self) -> str:
        """One sentence about the errors and the comparison."""
        from kinemill.verify.headline import headline

        return headline(self.document).text

    @property
    def notes(self) -> list[str]:
        """Remarks on the references and the logs, such as refused ones."""
        return self.document.notes

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per model and channel: `rmse`, `mae` at the horizon, and `by_step`."""
        import polars as pl

        return pl.DataFrame(
            [
                {
                    "model": who,
                    "channel": name,
                    "unit": line.unit,
                    "rmse": line.rmse,
                    "mae": line.mae,
                    "by_step": line.by_step,
                }
                for who, accuracy in self.document.accuracy.items()
                for name, line in accuracy.channels.items()
            ]
        )

    def plot(self) -> "Picture":
        """Draw RMSE over the time ahead, for the model and the references."""
        from kinemill.verify.plots import draw_growth

        return draw_growth(self.measured.analysis)

    def plot_examples(self) -> "Picture":
        """Draw measured and predicted windows.

        Raises:
            BadInput: the evaluation has no examples.
        """
        from kinemill.verify.plots import draw_examples

        if not self.measured.examples:
            raise BadInput("evaluation", "has no examples", fix="pass examples=3")
        return draw_examples(self.measured.analysis, self.measured.examples)

    def _repr_html_(self) -> str:
        windows, logs = self.document.windows, self.document.logs
        rmse = {
            f"RMSE {name}, {line.unit}": line.rmse
            for name, line in self.document.accuracy["model"].channels.items()
        }
        data = f"{windows.count} windows of {logs.episodes} episodes, {logs.rows} rows"
        facts = {"nRMSE": self.nrmse, **rmse, "data": data, "report": self.folder}
        return facts_table(self.headline, facts) + image(self.plot())


def evaluate(
    model: ModelLike,
    data: FrameLogs | str | Path,
    *,
    task: Task | None = None,
    horizon: int | None = None,
    stride: int | None = None,
    examples: int = 3,
    to: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Evaluation:
    """Measure the errors of a dynamics model on logs or frames, which are not stored.

    Args:
        model: TASK, TASK@alias, TASK:version, a training, or the folder of an exported model.
        data: frames, a log or a folder of logs.
        task: of a folder.
        horizon: steps ahead; default: `verify.horizon`.
        stride: rows between starts; default: `verify.stride`.
        examples: number of windows that are drawn.
        to: folder for the report, plots and metrics; default: none is written.
        overrides: of the task of a registered model.

    Raises:
        BadInput: there is no such model, or no episode is accepted or long enough.
    """
    from kinemill.verify.analysis import Measurement
    from kinemill.verify.document import EvaluatedModel
    from kinemill.verify.evaluation import Evaluation as Measured
    from kinemill.verify.evaluation import (
        evaluate_logs,
        evaluation_document,
        refusal_note,
        write_evaluation,
    )
    from kinemill.verify.figures import ranked_examples
    from kinemill.verify.logs import SPLIT
    from kinemill.verify.output_errors import output_accuracy

    loaded = load_simulator_of(model, task, overrides)
    read, verify = _read(loaded.task, loaded.home, data), loaded.task.verify
    horizon = horizon or verify.horizon
    opponents = _opponents(loaded, read, horizon)
    margin = loaded.task.promote.margin
    measurement = Measurement(horizon, stride or verify.stride, margin, opponents.scale)
    analysis = evaluate_logs(loaded.model, opponents.windows, read, measurement, opponents.episodes)
    picked = ranked_examples(analysis.model, examples) if examples else []
    steps = horizon, measurement.stride
    outputs = output_accuracy(loaded.model, read.rows, opponents.training, SPLIT, steps)
    source = EvaluatedModel(**loaded.to_json())
    notes = opponents.notes + refusal_note(read)
    measured = Measured(read, analysis, picked, source, notes, outputs)
    if to is None:
        return Evaluation(evaluation_document(measured), measured, None)
    folder = Path(to).expanduser().resolve()
    return Evaluation(write_evaluation(measured, folder), measured, folder)


@dataclass(frozen=True, eq=False)
class PolicyResults:
    """Errors of a policy on the actions of logs, and trials in its environment.

    Attributes:
        document: all results, as `evaluation.json` has them.
    """

    document: "PolicyEvaluation"

    @property
    def mean_return(self) -> float | None:
        """Mean return of an episode; None without an environment."""
        trials = self.document.environment
        return None if trials is None else trials.mean_return

    @property
    def success(self) -> float | None:
        """Share of episodes that succeed; None if it is not known."""
        trials = self.document.environment
        return None if trials is None else trials.success

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per action: errors of the policy and of repeating the last action."""
        import polars as pl

        return pl.DataFrame(
            [
                {"model": who, "action": name, "unit": one.unit, "rmse": one.rmse, "mae": one.mae}
                for who, accuracy in (self.document.actions or {}).items()
                for name, one in accuracy.channels.items()
            ]
        )

    def _repr_html_(self) -> str:
        trials = self.document.environment
        facts = {"return": self.mean_return, "success": self.success}
        return facts_table(
            f"{self.document.task}{self.document.source.name}",
            facts | {"episodes": trials.episodes if trials else None},
        )


def evaluate_policy(
    model: ModelLike,
    data: FrameLogs | str | Path | None = None,
    *,
    task: Task | None = None,
    to: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> PolicyResults:
    """Measure a policy: its actions against those of logs, and trials in its environment.

    Args:
        model: as in `evaluate`.
        data: frames, a log or a folder of logs; None: trials alone.
        task: of a folder.
        to: folder for `evaluation.json`; default: none is written.
        overrides: of the task of a registered model.

    Raises:
        BadInput: there is no such policy, or neither logs nor an environment.
    """
    from kinemill.environments.evaluation import try_policy
    from kinemill.store import publish_document
    from kinemill.verify.document import EVALUATION, EvaluatedModel
    from kinemill.verify.policies.action_errors import action_errors, policy_evaluation
    from kinemill.verify.policies.trials import trial_seeds

    loaded: LoadedModel[Policy] = load_policy_of(model, task, overrides)
    own, policy = loaded.task, loaded.model
    if data is None and own.environment is None:
        raise BadInput("evaluate", "says too little", expected="logs: no environment to act in")
    read = _read(own, loaded.home, data) if data is not None else None
    errors = action_errors(policy, read) if read else None
    trials = try_policy(own, policy, trial_seeds(own)) if own.environment else None
    source = EvaluatedModel(**loaded.to_json())
    document = policy_evaluation(own.name, source, read, errors, trials)
    if to is not None:
        folder = Path(to)
        folder.mkdir(parents=True, exist_ok=True)
        publish_document(folder / EVALUATION, document)
    return PolicyResults(document)


def _read(task: Task, home: Home, data: FrameLogs | str | Path) -> "Logs":
    from kinemill.verify.logs import read_logs

    if isinstance(data, FrameLogs):
        return read_logs(task, home, data.write(task, home))
    return read_logs(task, home, Path(data).expanduser().resolve())


@dataclass(frozen=True)
class _Opponents:
    """The models to compare with, by name.

    Attributes:
        windows: over windows.
        episodes: over whole episodes.
        notes: why some are left out.
        scale: standard deviation of the training rows, or None if these are unknown.
        training: the training rows, or None.
    """

    windows: Predictors
    episodes: Predictors
    notes: list[str]
    scale: Any
    training: "PackedDataset | None"


def _opponents(loaded: LoadedModel[Simulator], logs: "Logs", horizon: int) -> _Opponents:
    from kinemill.verify.evaluation import references_for
    from kinemill.verify.references import Persistence
    from kinemill.verify.scale import training_scale

    notes = list[str]()
    training, why = _training_rows(loaded)
    if training is None:
        windows: Predictors = {"persistence": Persistence()}
        episodes = dict(windows)
        notes.append(f"the linear models are left out, as they are fitted on training rows: {why}")
    else:
        references = references_for(loaded.task, loaded.home, training[0], logs, horizon)
        windows, episodes = references.predictors(), references.free_run()
    champion, why = _champion(loaded)
    if champion is not None:
        windows["champion"] = episodes["champion"] = champion
    elif why:
        notes.append(f"no champion beside it: {why}")
    scale = training_scale(training[1]) if training is not None else _stated_scale(loaded)
    if scale is None:
        notes.append("errors are normalized by the spread of these logs, not of the training rows")
    return _Opponents(windows, episodes, notes, scale, training[1] if training else None)


def _stated_scale(loaded: LoadedModel[Simulator]) -> Any:
    """Return the scale of errors in the bundle of a model, or None."""
    from kinemill.verify.document import VERIFICATION, read_verification
    from kinemill.verify.scale import stated_scale

    if not (loaded.folder / VERIFICATION).is_file():
        return None
    accuracy = read_verification(loaded.folder).accuracy
    return stated_scale(accuracy, loaded.model.interface.states)


def _training_rows(
    loaded: LoadedModel[Simulator],
) -> "tuple[tuple[ArtifactRef, PackedDataset] | None, str]":
    """Return the dataset that the model was trained on: ref and rows; or None and the reason."""
    from kinemill.dataset import find_version, load_dataset
    from kinemill.errors import CorruptArtifact
    from kinemill.verify.files import unlike

    interface = loaded.model.interface
    try:
        version = find_version(loaded.home, loaded.task.name, interface.dataset)
        rows = load_dataset(loaded.home, version.ref)
    except (BadInput, CorruptArtifact) as error:
        return None, str(error)
    if differing := unlike(interface, rows):
        return None, f"the dataset has other {'; '.join(differing)}"
    return (version.ref, rows), ""


def _champion(loaded: LoadedModel[Simulator]) -> tuple[Simulator | None, str]:
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
    own, other = loaded.model.interface, simulator.interface
    if (own.states, own.actions, own.dt) != (other.states, other.actions, other.dt):
        return None, f"version {champion.version} has other channels or another time step"
    return simulator, ""
