"""Evaluate a dynamics model on logs or frames, with references and the champion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kinemill.api.compared_models import compared_models
from kinemill.api.frames import FrameLogs
from kinemill.api.html import Plotted
from kinemill.api.models import ModelLike, load_simulator_of
from kinemill.store.home import Home
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

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
        windows = self.document.windows
        logs = self.document.logs
        rmse = {
            f"RMSE {name}, {line.unit}": line.rmse
            for name, line in self.document.accuracy["model"].channels.items()
        }
        data = f"{windows.count} windows of {logs.episodes} episodes, {logs.rows} rows"
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
    horizon = horizon or verify.horizon
    references = compared_models(loaded, read, horizon)
    margin = loaded.task.promote.margin
    measurement = Measurement(horizon, stride or verify.stride, margin, references.scale)
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
    return read_logs(task, home, Path(data).expanduser().resolve())
