"""Evaluate a dynamics model on logs or frames, with references and the champion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kinemill.api.arguments import count_or, log_path
from kinemill.api.frames import FrameLogs
from kinemill.api.html import Plotted
from kinemill.api.models import LoadedModel, ModelLike, load_simulator_of
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.runtime import Simulator, load
from kinemill.store.home import Home
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.dataset.scale import Scale
    from kinemill.reports.picture import Picture
    from kinemill.verify.document import LogEvaluation
    from kinemill.verify.evaluation import Evaluation as Measured
    from kinemill.verify.logs import Logs


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Plotted):
    """Errors of a dynamics model on logs.

    Attributes:
        document: all results, content of `evaluation.json`.
        measured: predictions and errors of the document, for plots.
        folder: folder of the report, or None.
    """

    document: "LogEvaluation"
    measured: "Measured" = field(repr=False)
    folder: Path | None

    @property
    def nrmse(self) -> float:
        """RMSE at the horizon over the training standard deviation, averaged over the channels."""
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
        """Remarks on omitted references and rejected logs."""
        return self.document.notes

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per model and channel: `model`, `channel`, `unit` and the errors.

        `rmse` and `mae` are at the horizon, `by_step` is the list of errors over the steps, all in
        `unit`.
        """
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
        """Draw the RMSE of the model and the references over the time ahead, s."""
        from kinemill.verify.plots import draw_growth

        return draw_growth(self.measured.analysis)

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        from kinemill.verify.phrases import counted

        windows = self.document.windows
        logs = self.document.logs
        rmse = {
            f"RMSE {name}, {line.unit}": line.rmse
            for name, line in self.document.accuracy["model"].channels.items()
        }
        episodes = counted(logs.episodes, "episodes")
        data = f"{windows.count} windows of {episodes}, {logs.rows} rows"
        facts = {"nRMSE": self.nrmse, **rmse, "data": data, "report": self.folder}
        return self.headline, facts


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
    """Measure the errors of a dynamics model on logs or frames, without storing them.

    Args:
        model: TASK, TASK@alias, TASK:version, a training, or the folder of an exported model.
        data: frames, a log or a folder of logs.
        task: task of a model folder.
        horizon: steps ahead; default: `verify.horizon`.
        stride: rows between starts; default: `verify.stride`.
        examples: number of plotted windows.
        to: folder for the report, plots and metrics; default: none is written.
        overrides: overrides of the task of a registered model.

    Raises:
        BadInput: There is no such model, or no episode is accepted or long enough.
        CorruptArtifact: The files of the model are damaged.
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
    read = read_data(loaded.task, loaded.home, data)
    verify = loaded.task.verify
    horizon = count_or("horizon", horizon, verify.horizon)
    references = compared_models(loaded, read, horizon)
    margin = loaded.task.promote.margin
    stride = count_or("stride", stride, verify.stride)
    measurement = Measurement(horizon, stride, margin, references.scale)
    analysis = evaluate_logs(
        loaded.model, references.windows, read, measurement, references.episodes
    )
    picked = ranked_examples(analysis.model, examples) if examples else []
    outputs = output_accuracy(
        loaded.model, read.rows, references.training, SPLIT, horizon, measurement.stride
    )
    source = EvaluatedModel(**loaded.to_json())
    notes = references.notes + refusal_note(read)
    measured = Measured(read, analysis, picked, source, notes, outputs)
    if to is None:
        return Evaluation(evaluation_document(measured), measured, None)
    folder = Path(to).expanduser().resolve()
    return Evaluation(write_evaluation(measured, folder), measured, folder)


def read_data(task: Task, home: Home, data: FrameLogs | str | Path) -> "Logs":
    """Read frames, a log, or a folder of logs.

    Raises:
        BadInput: No episode is accepted.
    """
    from kinemill.verify.logs import read_logs

    if isinstance(data, FrameLogs):
        return read_logs(task, home, data.write(task, home))
    return read_logs(task, home, log_path(data))


if TYPE_CHECKING:
    from kinemill.dataset import PackedDataset
    from kinemill.runtime.window_metrics import Predictor
    from kinemill.store import ArtifactRef
    from kinemill.verify.logs import Logs

Predictors = dict[str, "Predictor"]


@dataclass(frozen=True)
class ComparedModels:
    """The models of a comparison by name.

    Attributes:
        windows: models compared over windows.
        episodes: models compared over whole episodes.
        notes: reasons for omitted models.
        scale: standard deviation of the training rows by channel, or None if these are unknown.
        training: the training rows, or None.
    """

    windows: Predictors
    episodes: Predictors
    notes: list[str]
    scale: "Scale | None"
    training: "PackedDataset | None"


def compared_models(loaded: LoadedModel[Simulator], logs: "Logs", horizon: int) -> ComparedModels:
    """Return the references and the champion for a comparison on logs.

    Args:
        loaded: the model.
        logs: the logs of the comparison.
        horizon: steps ahead at which errors are compared.
    """
    from kinemill.dataset.scale import training_scale
    from kinemill.selection.references.baselines import Persistence
    from kinemill.verify.evaluation import references_for

    notes = list[str]()
    training, why = _training_rows(loaded)
    if training is None:
        windows: Predictors = {"persistence": Persistence()}
        episodes = dict(windows)
        notes.append(f"linear models are omitted, because they are fitted to training rows: {why}")
    else:
        references = references_for(loaded.task, loaded.home, training[0], logs, horizon)
        windows = references.predictors()
        episodes = references.free_run()
    champion, why = _champion(loaded)
    if champion is not None:
        windows["champion"] = episodes["champion"] = champion
    elif why:
        notes.append(f"no comparison with the champion: {why}")
    scale = training_scale(training[1]) if training is not None else _stated_scale(loaded)
    if scale is None:
        notes.append(
            "errors are relative to the standard deviation of these logs, not of the training rows"
        )
    return ComparedModels(windows, episodes, notes, scale, training[1] if training else None)


def _stated_scale(loaded: LoadedModel[Simulator]) -> "Scale | None":
    """Return the scale of errors in the bundle of a model, or None."""
    from kinemill.verify.analysis import stated_scale
    from kinemill.verify.document import VERIFICATION, read_verification

    if not (loaded.folder / VERIFICATION).is_file():
        return None
    accuracy = read_verification(loaded.folder).accuracy
    return stated_scale(accuracy, loaded.model.interface.states)


def _training_rows(
    loaded: LoadedModel[Simulator],
) -> "tuple[tuple[ArtifactRef, PackedDataset] | None, str]":
    """Return the training dataset of the model, ref and rows; or None and the reason."""
    from kinemill.dataset import find_version, load_dataset
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
    from kinemill.register.bundle import model_digest
    from kinemill.register.champion import load_champion

    try:
        champion = load_champion(loaded.home, loaded.task.name)
    except CorruptArtifact as error:
        return None, str(error)
    if champion is None or champion.version == loaded.version:
        return None, ""
    if loaded.version is None and champion.model == model_digest(loaded.folder):
        return None, ""
    simulator = load(champion.folder, non_finite="pass")
    interface = loaded.model.interface
    champion_interface = simulator.interface
    if (interface.states, interface.actions, interface.dt) != (
        champion_interface.states,
        champion_interface.actions,
        champion_interface.dt,
    ):
        return None, f"version {champion.version} has other channels or another time step"
    return simulator, ""
