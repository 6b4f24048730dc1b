"""Measure a champion on new episodes: each recording once, published by shard.

The cost of a new recording is its own measurement and one shard write, for any number of
recordings.
"""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.ingest.rows import read_rows
from kinemill.runtime import Simulator, wrapped
from kinemill.runtime.window_metrics import Floats
from kinemill.store import (
    ArtifactRef,
    Json,
    from_json_value,
    get_or_build,
    open_ref,
    read_document,
    to_json_value,
    write_document,
)
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import Progress
from kinemill.validate.drift.coverage import kolmogorov_smirnov, population_stability
from kinemill.validate.drift.documents import (
    ChannelCoverage,
    ChannelError,
    EpisodeMeasurement,
    RecordingMeasurement,
)
from kinemill.validate.drift.reference import Reference, squares_of
from kinemill.validate.shard_results import EvaluatedRecording, read_evaluated

STAGE, SHARD, VERSION = "drift_recording", "drift_shard", 2
RECORDINGS = "recordings.json"


@dataclass(frozen=True)
class _Measured:
    """Summary of the stage: the measurements of one recording, with its content hash."""

    hash: str
    episodes: list[EpisodeMeasurement]


@dataclass(frozen=True)
class DriftEvaluator:
    """Measures the champion on new episodes.

    Attributes:
        task: its `verify` part defines how errors are measured.
        home: where results are stored.
        simulator: the champion's exported model.
        reference: its error at training time.
        used: content hashes of the recordings in its dataset, which are not new.
        progress: called after every measured recording.
    """

    task: Task
    home: Home
    simulator: Simulator
    reference: Reference
    used: frozenset[str]
    progress: Progress

    def shard(self, shard: ArtifactRef) -> list[RecordingMeasurement]:
        """Measure the new recordings of a shard of episodes, or return the cached result."""
        inputs = {"reference": self.reference.ref.digest, "shard": shard.digest, "version": VERSION}

        def build(folder: Path) -> Json:
            unseen = (
                item for item in read_evaluated(self.home, shard) if item.recording not in self.used
            )
            new = [item for item in unseen if item.episodes]
            measured: list[RecordingMeasurement] = []
            for done, item in enumerate(new, 1):
                episodes = self.recording(item)
                measured.append(RecordingMeasurement(item.recording, item.name, episodes))
                self.progress.advance("drift", done, len(new), item.name)
            write_document(folder / RECORDINGS, measured)
            return {"new": len(new)}

        artifact = get_or_build(self.home, SHARD, self.task.name, inputs, build)
        if not artifact.summary["new"]:
            return []
        path = open_ref(self.home, artifact.ref) / RECORDINGS
        return read_document(path, list[RecordingMeasurement])

    def recording(self, item: EvaluatedRecording) -> list[EpisodeMeasurement]:
        """Measure the episodes of a recording, or return the cached result."""
        ref = item.ref
        if ref is None:
            return []

        def build(_: Path) -> Json:
            folder = open_ref(self.home, ref)
            episodes = [self._measure(one.id, folder / one.file) for one in item.episodes]
            return to_json_value(_Measured(item.recording, episodes))

        inputs = {"reference": self.reference.ref.digest, "episodes": ref.digest}
        inputs |= {"version": VERSION}
        artifact = get_or_build(self.home, STAGE, self.task.name, inputs, build)
        return from_json_value(artifact.summary, _Measured, Path(artifact.ref.path)).episodes

    def _measure(self, episode: str, file: Path) -> EpisodeMeasurement:
        values, verify = _rows(self.task, file), self.task.verify
        squares = squares_of(self.simulator, values, verify.horizon, verify.stride)
        return EpisodeMeasurement(
            episode,
            len(values),
            len(squares),
            _errors(self.task, squares, self.reference) if len(squares) else {},
            _coverage(self.task, values, self.reference.sample),
        )


def _errors(task: Task, squares: Floats, reference: Reference) -> dict[str, ChannelError]:
    """Return the errors by state; values that are not finite are None, since JSON has no NaN."""
    rmse, usual = np.sqrt(squares.mean(axis=0)), reference.usual(len(squares))
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
    angle = _angles(task)
    return values - np.where(angle, values[0] - wrapped(values[0], angle), 0.0)


def _angles(task: Task) -> NDArray[np.bool_]:
    return np.array([task.channels[name].kind == "angle" for name in task.columns])


def _coverage(task: Task, values: Floats, sample: Floats) -> dict[str, ChannelCoverage]:
    angle = _angles(task)
    training, new = wrapped(sample, angle), wrapped(values, angle)
    return {
        name: ChannelCoverage(
            population_stability(training[:, at], new[:, at]),
            kolmogorov_smirnov(training[:, at], new[:, at]),
        )
        for at, name in enumerate(task.columns)
    }
