"""Measurements by the gate: errors on the test split, and stored cases in a new process.

Two models are compared by rollouts on the same rows, at all horizons and in free run.

Symbols: W windows, H history, S states, Y outputs.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from kinemill.dataset import DatasetSummary, PackedDataset, load_dataset
from kinemill.dataset import find_version as find_dataset
from kinemill.dataset.scale import scale_of
from kinemill.register.comparison_results import Compared, DynamicsComparison, compare_errors
from kinemill.register.gate.inputs import (
    MEASUREMENTS,
    ChampionComparison,
    Findings,
    Loaded,
    Measured,
    Paired,
    RowOverlap,
)
from kinemill.register.gate.seen_episodes import seen_episodes, without_episodes
from kinemill.runtime import QUIETLY, Floats, Predictor, Simulator
from kinemill.runtime.download import run_stored_cases
from kinemill.runtime.window_metrics import in_std
from kinemill.selection.divergence import free_runs
from kinemill.store import ArtifactRef, Home
from kinemill.task import Task
from kinemill.task.promote import FREE_RUN
from kinemill.verify.accuracy import evaluate
from kinemill.verify.analysis import compare
from kinemill.verify.comparison import NRMSE, Comparison
from kinemill.verify.errors import Errors
from kinemill.verify.free_run import FreeRun, free_run
from kinemill.verify.losses import counted_horizons
from kinemill.verify.output_errors import output_deviations
from kinemill.verify.significance import compare_squares

_SPLIT = "test"
# Tolerances between a reference and its exported float32 files: a share of the error, and rounding
# in units of the training std.
_TOLERANCE = 0.01
_ROUNDING = 1e-5
# For channels without an error to compare.
_NOTHING = Comparison(math.nan, math.nan, math.nan, math.nan, 0.0, "blocks", math.nan, math.nan)


@dataclass(frozen=True)
class _RolledOut:
    """Errors of one model over windows and, if measured, over whole episodes."""

    errors: Errors
    run: FreeRun | None


@MEASUREMENTS.register("dynamics")
@dataclass(frozen=True)
class DynamicsMeasurements:
    """Measurements on the test split of the dataset that the challenger was trained on."""

    __test__ = False  # pytest must not collect this class

    task: Task
    home: Home
    dataset: ArtifactRef
    known_rows: PackedDataset | None = None  # replaces the rows of the dataset

    def measure(self, challenger: Loaded) -> Findings:
        """Measure a model and the references on all windows and episodes of the test split.

        Every model gets the rows of the longest history among them.
        """
        model = cast(Simulator, challenger)  # the task learns dynamics
        challenger_run = self._roll_out(model, self._history(model))
        pairs = {
            name: self._against(challenger_run, reference)
            for name, reference in self._references.items.items()
        }
        measured = measured_of(challenger_run.errors, self._rows, self.task.promote.channel)
        runs = free_runs(model, self._rows)
        absent = self._references.left_out
        return Findings(measured=measured, references=pairs, absent=absent, runs=runs)

    def compare(
        self, challenger: Loaded, champion: Loaded, trained_on: Path | None = None
    ) -> ChampionComparison:
        """Measure both on the same windows and whole episodes of the test split.

        Episodes that the champion was trained on, with the dataset in `trained_on`, are left out.

        Raises:
            BadInput: No episode is left.
        """
        trained = (
            seen_episodes(self.home.root / self.dataset.path, trained_on) if trained_on else ()
        )
        if trained:
            rows = without_episodes(self._rows, trained)
            comparison = replace(self, known_rows=rows).compare(challenger, champion)
            return replace(comparison, left_out=len(trained))
        models = [cast(Simulator, item) for item in (challenger, champion)]
        # The longest history of all, so that all predictions start at the same rows.
        history = self._history(*models)
        promote = self.task.promote
        challenger_run, reference_run = (self._roll_out(model, history) for model in models)
        # A loss within `promote.max_channel_loss` does not count against the challenger.
        margin = max(promote.margin, promote.max_channel_loss or 0.0)
        paired = _pair(challenger_run, reference_run, promote.channel, margin)
        outputs = output_comparisons(
            (models[0], models[1]), self._rows, challenger_run.errors, margin
        )
        horizons = {key: {**item, **outputs.get(key, {})} for key, item in paired.horizons.items()}
        return ChampionComparison(
            challenger=measured_of(challenger_run.errors, self._rows, promote.channel),
            measured=measured_of(reference_run.errors, self._rows, promote.channel),
            paired=replace(paired, horizons=horizons),
        )

    def compare_versions(self, a: Loaded, b: Loaded, compared: Compared) -> DynamicsComparison:
        """Compare two models on the same windows of the test split."""
        first = cast(Simulator, a)
        second = cast(Simulator, b)
        history = max(first.history, second.history)
        a_run = _roll_out(first, self._rows, self.task, history)
        b_run = _roll_out(second, self._rows, self.task, history)
        margin = self.task.promote.margin
        horizons = compare(b_run.errors, a_run.errors, margin, b_run.run, a_run.run)
        return compare_errors(a_run.errors, b_run.errors, horizons, compared)

    def serve(self, folder: Path) -> tuple[bool, str]:
        """Run the stored cases of the bundle in a separate process."""
        return run_stored_cases(folder)

    def age(self) -> float:
        """Return the age of the dataset version in the catalog, s."""
        return age_of(self.home, self.task, self.dataset)

    def measure_overlap(self) -> RowOverlap:
        """Return the shares of repeated rows that the dataset version records."""
        return overlap_of(self.home, self.dataset)

    @cached_property
    def _rows(self) -> PackedDataset:
        return self.known_rows or load_dataset(self.home, self.dataset)

    @cached_property
    def _references(self) -> Any:
        from kinemill.selection.references import stage
        from kinemill.selection.references.published import load_references  # import torch

        built = stage.run(self.task, self.home, self.dataset)
        return load_references(self.home, built.ref)

    def _history(self, *models: Predictor) -> int:
        """Return the rows of history at the start of each window: the longest of all models."""
        return max(self._references.history, *(model.history for model in models))

    def _roll_out(self, model: Predictor, history: int) -> _RolledOut:
        return _roll_out(model, self._rows, self.task, history)

    def _against(self, challenger_run: _RolledOut, reference: Any) -> Paired:
        """Compare with a reference; in free run only where it stays bounded."""
        promote = self.task.promote
        history = challenger_run.errors.history
        reference_run = self._roll_out(reference.predictor, history)
        if reference.folder is not None and _is_same_model(challenger_run, reference_run):
            return replace(
                _pair(challenger_run, reference_run, promote.channel, promote.margin), itself=True
            )
        if not reference.facts.stable:
            reference_run = replace(reference_run, run=None)
        return _pair(challenger_run, reference_run, promote.channel, promote.margin)


def age_of(home: Home, task: Task, dataset: ArtifactRef) -> float:
    """Return the age of a dataset version in the catalog, s."""
    made = find_dataset(home, task.name, dataset.digest).created
    return time.time() - datetime.fromisoformat(made).timestamp()


def overlap_of(home: Home, dataset: ArtifactRef) -> RowOverlap:
    """Return the shares of validation and test rows of a dataset that repeat training rows."""
    leakage = DatasetSummary.read(home, dataset).independence
    if not leakage:
        return RowOverlap()
    test = leakage["test"]
    return RowOverlap(test.copies, test.repetitions, leakage["validation"].copies)


def measured_of(errors: Errors, dataset: PackedDataset, channel: str | None = None) -> Measured:
    """Return the errors that the gate needs; the error of a model that diverges is infinite."""
    first_rows = np.sort([episode.start for episode in dataset.of(_SPLIT)])
    return Measured(
        error=_error_of(errors, channel),
        channels=dict(zip(errors.channels, errors.rmse.tolist(), strict=True)),
        windows=len(errors.starts),
        # Counts the episodes that have a window; shorter ones are not measured.
        episodes=len(np.unique(np.searchsorted(first_rows, errors.starts, side="right"))),
        history=errors.history,
    )


def _roll_out(model: Predictor, rows: PackedDataset, task: Task, history: int) -> _RolledOut:
    """Measure a model over the windows and the whole episodes of the test split.

    Raises:
        BadInput: The channels differ from the dataset's, or no episode is as long as a window.
    """
    return _RolledOut(
        _errors_of(model, rows, task, history), free_run(model, rows, _SPLIT, history)
    )


def _errors_of(model: Predictor, rows: PackedDataset, task: Task, history: int) -> Errors:
    """Measure a model over the windows of the test split only; see `_roll_out`."""
    settings = task.verify
    keys = counted_horizons(task.promote, settings.horizon)
    steps = {int(key) for key in keys if key != FREE_RUN} | {settings.horizon}
    return evaluate(model, rows, _SPLIT, sorted(steps), settings.stride, history)


def _error_of(errors: Errors, channel: str | None) -> float:
    """Return nrmse, or the RMSE of one channel in its unit; infinite if any channel diverges."""
    if not math.isfinite(errors.nrmse):
        return math.inf
    return errors.nrmse if channel is None else float(errors.rmse[errors.channels.index(channel)])


def _pair(
    model_run: _RolledOut, reference_run: _RolledOut, channel: str | None, margin: float
) -> Paired:
    """Compare two models on the same rows, at every horizon and over whole episodes.

    Args:
        model_run: rollouts of the challenger.
        reference_run: rollouts of the other model; without whole episodes it counts as diverging in
            free run.
        channel: channel of `promote.metric`; None for nrmse.
        margin: margin of `Comparison.p_worse`.
    """
    comparisons = compare(
        model_run.errors, reference_run.errors, margin, model_run.run, reference_run.run
    )
    if FREE_RUN not in comparisons and model_run.run is not None:
        comparisons[FREE_RUN] = _runs_alone(model_run.run)
    still = dict.fromkeys(model_run.errors.constant, _NOTHING)  # constant channels
    headline = comparisons[str(model_run.errors.horizon)].get(channel or NRMSE, _NOTHING)
    model, reference = (_error_of(item.errors, channel) for item in (model_run, reference_run))
    complete = {key: still | by for key, by in comparisons.items()}
    return Paired.of(model, reference, headline, complete)


def _runs_alone(run: FreeRun) -> dict[str, Comparison]:
    """Return the comparison over whole episodes with a reference that diverges there."""
    relative = [float(value) for value in run.rmse / np.where(run.std > 0, run.std, np.nan)]
    errors = dict(zip(run.channels, relative, strict=True)) | {NRMSE: run.nrmse}
    return {
        name: replace(_NOTHING, error=error, reference=math.inf)
        for name, error in errors.items()
        if not math.isnan(error)
    }


@QUIETLY
def _is_same_model(model_run: _RolledOut, reference_run: _RolledOut) -> bool:
    """Return whether two models are the same except for rounding.

    At every horizon the difference of their predictions is a small part of their errors.
    """
    return all(
        _rms(error - reference_run.errors.by_horizon[steps], model_run)
        <= _TOLERANCE * _rms(reference_run.errors.by_horizon[steps], model_run) + _ROUNDING
        for steps, error in model_run.errors.by_horizon.items()
    )


def _rms(values: Floats, model_run: _RolledOut) -> float:
    """Return the root mean square of (W, S) in training std, over channels that move there."""
    return float(np.sqrt((in_std(values, model_run.errors.std) ** 2).mean()))


@QUIETLY
def output_comparisons(
    models: tuple[Simulator, Simulator], rows: PackedDataset, errors: Errors, margin: float
) -> Mapping[str, Mapping[str, Comparison]]:
    """Compare the outputs that both models have, by steps as text and by name.

    After k steps the output belongs to the row k ahead, which needs k predicted states. At the
    horizon T it belongs to row T - 1, the last row with a known action.
    """
    names = [name for name in rows.outputs if all(name in model.outputs for model in models)]
    if not names or rows.output_values is None:
        return {}
    # A dataset of outputs alone, so that their scale is estimated like that of states.
    values = replace(rows, segments=[rows.output_values])
    columns = np.array([rows.outputs.index(name) for name in names])
    scale = scale_of(values, columns, np.zeros(len(names), dtype=bool))
    present = errors.starts + errors.history - 1
    # Outputs end one row before the states, so the horizon T is compared at row T - 1.
    offsets = np.minimum(list(errors.by_horizon), errors.horizon - 1)
    model_run, reference_run = (
        output_deviations(model, rows, names, present, offsets) for model in models
    )
    return {
        str(steps): dict(
            zip(
                names,
                compare_squares(
                    (model_run[:, at] ** 2, reference_run[:, at] ** 2),
                    scale,
                    errors.episode,
                    errors.overlap(steps),
                    margin,
                )[1:],
                strict=True,
            )
        )
        for at, steps in enumerate(errors.by_horizon)
    }
