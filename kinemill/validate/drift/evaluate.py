"""Measure a champion on new episodes: each recording once, its errors and its distributions.

The population stability index is how far new rows leave the champion's training data. Any new
trajectory changes it, so it is reported and never a verdict. Symbols: N rows of training, n new
rows, C channels.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.catalog.evaluations import ListedEpisode
from kinemill.ingest.rows import read_rows
from kinemill.runtime import Floats, Simulator, whole_turns, wrapped
from kinemill.store import Home, Json, from_json_value, get_or_build, open_ref, to_json_value
from kinemill.task import Progress, Task
from kinemill.validate.drift.documents import ChannelError, EpisodeMeasurement
from kinemill.validate.drift.reference import Reference, squares_of

STAGE = "drift_recording"
VERSION = 3
BINS = 10  # deciles
LEAST = 1e-4  # share of an empty bin, since the logarithm of zero is infinite


@dataclass(frozen=True)
class _Measured:
    """Summary of the stage: the measurements of one recording, with its content hash."""

    hash: str
    episodes: list[EpisodeMeasurement]


@dataclass(frozen=True)
class DriftEvaluator:
    """Measures the champion on new episodes.

    Attributes:
        task: task with the settings `verify` of the errors.
        home: home of the results.
        simulator: the champion's exported model.
        reference: its error at training time.
        used: content hashes of the recordings in its dataset, which are not new.
        progress: receives each measured recording.
    """

    task: Task
    home: Home
    simulator: Simulator
    reference: Reference
    used: frozenset[str]
    progress: Progress

    def measure(
        self, episodes: Iterable[ListedEpisode]
    ) -> Iterator[tuple[ListedEpisode, EpisodeMeasurement]]:
        """Measure the episodes of new recordings, sorted by recording, or return cached results."""
        unseen = (episode for episode in episodes if episode.recording not in self.used)
        for done, (hash_, group) in enumerate(
            groupby(unseen, lambda episode: episode.recording), 1
        ):
            listed = list(group)
            measured = self._recording(hash_, listed)
            self.progress.advance("drift", done, done, listed[0].name)
            yield from zip(listed, measured, strict=True)

    def _recording(self, hash_: str, episodes: list[ListedEpisode]) -> list[EpisodeMeasurement]:
        """Measure the episodes of a recording, or return the cached result."""
        ref = episodes[0].ref

        def build(_: Path) -> Json:
            folder = open_ref(self.home, ref)
            measured = [self._measure(episode.id, folder / episode.file) for episode in episodes]
            return to_json_value(_Measured(hash_, measured))

        inputs = {"reference": self.reference.ref.digest, "episodes": ref.digest}
        inputs |= {"version": VERSION}
        artifact = get_or_build(self.home, STAGE, self.task.name, inputs, build)
        return from_json_value(artifact.summary, _Measured, Path(artifact.ref.path)).episodes

    def _measure(self, episode: str, file: Path) -> EpisodeMeasurement:
        values = _rows(self.task, file)
        verify = self.task.verify
        squares = squares_of(self.simulator, values, verify.horizon, verify.stride)
        return EpisodeMeasurement(
            episode,
            len(values),
            len(squares),
            _errors(self.task, squares, self.reference) if len(squares) else {},
            _stability(self.task, values, self.reference.sample),
        )


def _errors(task: Task, squares: Floats, reference: Reference) -> dict[str, ChannelError]:
    """Return the errors by state; values that are not finite are None, since JSON has no NaN."""
    rmse = np.sqrt(squares.mean(axis=0))
    usual = reference.usual(len(squares))
    return {
        name: ChannelError(
            task.channels[name].unit,
            float(rmse[at]) if isfinite(rmse[at]) else None,
            float(usual[at]),
            float(rmse[at] / usual[at]) if isfinite(rmse[at]) else None,
        )
        for at, name in enumerate(task.states)
    }


def _rows(task: Task, file: Path) -> Floats:
    """Return the rows of an episode, (n, C), with angles wrapped as in packed datasets."""
    frame = read_rows(file, task.columns)
    values = frame.select(task.columns).to_numpy().astype(np.float64)
    return values - whole_turns(values[0], _angles(task))


def _angles(task: Task) -> NDArray[np.bool_]:
    return np.array([task.channels[name].kind == "angle" for name in task.columns])


def _stability(task: Task, values: Floats, sample: Floats) -> dict[str, float]:
    angle = _angles(task)
    training = wrapped(sample, angle)
    new = wrapped(values, angle)
    return {
        name: population_stability(training[:, at], new[:, at])
        for at, name in enumerate(task.columns)
    }


def population_stability(training: Floats, new: Floats) -> float:
    """Return the population stability index of new values (n,) against those of training (N,).

    Σ (q - p) ln(q / p) over the deciles of training, p and q being the shares of training and of
    new values (Siddiqi 2006, Credit Risk Scorecards, section 7). Values
    below 0.1 count as the same distribution, above 0.25 as a different one.
    """
    edges = np.unique(np.quantile(training, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
    if len(edges) == 1:  # a channel that never changed: below, at and above its value
        edges = np.array([edges[0], np.nextafter(edges[0], np.inf)])
    p, q = (_shares(values, edges) for values in (training, new))
    return float(((q - p) * np.log(q / p)).sum())


def _shares(values: Floats, edges: Floats) -> Floats:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), LEAST)
