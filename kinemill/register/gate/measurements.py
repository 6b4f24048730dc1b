"""Measurements by the gate: errors on the test split, and a smoke test in a new process."""

import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from kinemill.dataset import DatasetSummary, PackedDataset, load_dataset
from kinemill.dataset import find_version as find_dataset
from kinemill.dataset.windows import gather, window_starts
from kinemill.errors import BadInput
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
from kinemill.register.gate.paired_rollouts import (
    SPLIT,
    RolledOut,
    error_of,
    is_same_model,
    output_comparisons,
    pair,
    roll_out,
)
from kinemill.register.gate.seen_episodes import seen_episodes, without_episodes
from kinemill.register.gate.smoke_test import serve, serve_zero_window
from kinemill.runtime import Predictor, Simulator, load
from kinemill.selection.divergence import free_runs
from kinemill.store import ArtifactRef, Home
from kinemill.task import Task
from kinemill.verify.analysis import compare as compare_horizons
from kinemill.verify.errors import Errors


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
        return Findings(measured, pairs, self._references.left_out, runs=runs)

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
        challenger_errors, champion_errors = (
            measured_of(item.errors, self._rows, promote.channel)
            for item in (challenger_run, reference_run)
        )
        # A loss within `promote.max_channel_loss` does not count against the challenger.
        margin = max(promote.margin, promote.max_channel_loss or 0.0)
        paired = pair(challenger_run, reference_run, promote.channel, margin)
        outputs = output_comparisons(
            (models[0], models[1]), self._rows, challenger_run.errors, margin
        )
        horizons = {key: {**item, **outputs.get(key, {})} for key, item in paired.horizons.items()}
        return ChampionComparison(
            challenger_errors, champion_errors, replace(paired, horizons=horizons)
        )

    def compare_versions(self, a: Loaded, b: Loaded, compared: Compared) -> DynamicsComparison:
        """Compare two models on the same windows of the test split."""
        first = cast(Simulator, a)
        second = cast(Simulator, b)
        history = max(first.history, second.history)
        a_run = roll_out(first, self._rows, self.task, history)
        b_run = roll_out(second, self._rows, self.task, history)
        margin = self.task.promote.margin
        horizons = compare_horizons(b_run.errors, a_run.errors, margin, b_run.run, a_run.run)
        return compare_errors(a_run.errors, b_run.errors, horizons, compared)

    def serve(self, folder: Path) -> tuple[bool, str]:
        """Load the bundle in a separate process and predict the first test window."""
        settings = self.task.verify
        simulator = load(folder)
        try:
            rows = simulator.history + settings.horizon
            starts = window_starts(self._rows, SPLIT, rows, settings.stride)[:1]
        except BadInput:
            return serve_zero_window(folder)  # no test episode is long enough for a window
        return serve(folder, gather(self._rows, starts, simulator.history, settings.horizon))

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
        from kinemill.selection.references import load_references, stage  # import torch

        built = stage.run(self.task, self.home, self.dataset)
        return load_references(self.home, built.ref)

    def _history(self, *models: Predictor) -> int:
        """Return the rows of history at the start of each window: the longest of all models."""
        return max(self._references.history, *(model.history for model in models))

    def _roll_out(self, model: Predictor, history: int) -> RolledOut:
        return roll_out(model, self._rows, self.task, history)

    def _against(self, challenger_run: RolledOut, reference: Any) -> Paired:
        """Compare with a reference; in free run only where it stays bounded."""
        promote = self.task.promote
        history = challenger_run.errors.history
        reference_run = self._roll_out(reference.predictor, history)
        if reference.folder is not None and is_same_model(challenger_run, reference_run):
            return replace(
                pair(challenger_run, reference_run, promote.channel, promote.margin), itself=True
            )
        if not reference.stable:
            reference_run = replace(reference_run, run=None)
        return pair(challenger_run, reference_run, promote.channel, promote.margin)


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
    first_rows = np.sort([episode.start for episode in dataset.of(SPLIT)])
    return Measured(
        error=error_of(errors, channel),
        channels=dict(zip(errors.channels, errors.rmse.tolist(), strict=True)),
        windows=len(errors.starts),
        # Counts the episodes that have a window; shorter ones are not measured.
        episodes=len(np.unique(np.searchsorted(first_rows, errors.starts, side="right"))),
        history=errors.history,
    )
