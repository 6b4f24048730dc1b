"""A dataset from frames or logs, as polars and numpy.

Symbols: N rows of an episode, C channels (states, then actions).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kinemill.api.arguments import log_path, require
from kinemill.api.frames import FrameLogs
from kinemill.errors import BadInput, Blocked
from kinemill.store import ArtifactRef, Home, Json
from kinemill.task import NullReporter, Progress, Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.dataset import PackedDataset
    from kinemill.dataset.packed import Packed, PackedEpisode
    from kinemill.ingest.report import IngestReport
    from kinemill.validate.report import QuarantinedRecording

Split = Literal["train", "validation", "test"]
Data = FrameLogs | str | Path | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset version: accepted episodes with their split, in the units of the task.

    Attributes:
        task: the task.
        ref: artifact of the dataset.
        episodes: artifact of the accepted episodes.
        packed: rows of all episodes, memory-mapped.
        logs: outcome of each log that was new in this call; see `report`.
        quarantine: recordings without an accepted episode, with the reasons; the first ones of
            many.
        dropped: number of rows that each physical check removed.
    """

    task: Task
    ref: ArtifactRef
    episodes: ArtifactRef
    packed: "PackedDataset"
    logs: Sequence[Json]
    quarantine: "Sequence[QuarantinedRecording]"
    dropped: Mapping[str, int]

    @property
    def digest(self) -> str:
        """Digest of the dataset: equal data and rules have equal digests."""
        return self.ref.digest

    @property
    def columns(self) -> list[str]:
        """Names of the channels: states, then actions."""
        return self.packed.columns

    @property
    def units(self) -> dict[str, str]:
        """Unit of each channel."""
        return self.packed.units

    def rows(self, split: Split | None = None) -> int:
        """Return the number of rows in a split, or in all of them."""
        return sum(episode.rows for episode in self._of(split))

    @cached_property
    def report(self) -> "pl.DataFrame":
        """One row for each new log, or for each reason why rows of it or all of it were rejected.

        Logs that the physical checks reject are listed once more, as `quarantined`.
        """
        import polars as pl

        names = ("check", "channel", "where", "found", "expected", "fix")
        blank = dict.fromkeys(names)
        lines: list[Json] = [
            {"log": log["file"], "outcome": log["outcome"], "rows": log["rows"], **reason}
            for log in self.logs
            for reason in (log["reasons"] or [blank])
        ]
        lines += [
            {"log": log.name, "outcome": "quarantined", **reason}
            for log in self.quarantine
            for reason in log.reasons
        ]
        kinds = {"log": pl.String, "outcome": pl.String, "rows": pl.Int64}
        return pl.DataFrame(lines, schema={**kinds, **dict.fromkeys(names, pl.String)})

    def to_polars(self, split: Split | None = None) -> "pl.DataFrame":
        """Return all rows: `episode`, `recording`, `split`, `time_s`, and the channels."""
        import polars as pl

        return pl.concat(
            [
                pl.DataFrame(
                    {
                        "episode": [episode.id] * episode.rows,
                        "recording": [episode.name] * episode.rows,
                        "split": [episode.split] * episode.rows,
                        "time_s": np.arange(episode.rows) * self.packed.dt,
                    }
                ).hstack(pl.DataFrame(np.asarray(self.packed.rows(episode)), schema=self.columns))
                for episode in self._of(split)
            ]
        )

    def to_numpy(self, split: Split | None = None) -> "dict[str, Packed]":
        """Return the rows of each episode by id, (N, C) float32."""
        return {episode.id: np.array(self.packed.rows(episode)) for episode in self._of(split)}

    def _of(self, split: Split | None) -> "list[PackedEpisode]":
        return list(self.packed.episodes) if split is None else self.packed.of(split)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {self.rows(name)}" for name in ("train", "validation", "test"))
        return (
            f"Dataset({self.task.name}, {len(self.packed.episodes)} episodes, rows: {counts}, "
            f"{sum(self.dropped.values())} dropped, {len(self.quarantine)} quarantined)"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


def make_dataset(
    task: Task, data: Data = None, *, home: Home | None = None, progress: Progress | None = None
) -> Dataset:
    """Ingest and validate logs or frames, and publish the accepted episodes as a dataset.

    Args:
        task: channels, checks and split.
        data: frames, which then are all of the data; or a log or a folder of logs, which join those
            that the task has; default: the logs in the task's drop folder.
        home: where artifacts are stored; default: `KINEMILL_HOME`, else that of the project.
        progress: receives the progress of the stages.

    Raises:
        BadInput: there is no log, or a split is empty.
        Blocked: a blocking check failed, such as that nothing was accepted.
    """
    from kinemill.dataset import load_dataset
    from kinemill.dataset import stage as dataset_stage
    from kinemill.validate import stage as validate
    from kinemill.validate.refusal import refusal
    from kinemill.validate.summary import EpisodesSummary, read_quarantine

    require("task", task, Task, "a task of load_task or make_task")
    if not task.learn.from_logs:
        fix = "leave the data out: training opens the environment"
        raise BadInput(f"task {task.name}", "learns in its environment, without logs", fix=fix)
    home = home or Home.resolve()
    progress = progress or NullReporter()
    recordings, report = _ingest(task, home, data, progress)
    episodes = validate.run(task, home, recordings, progress)
    blocking = [check for check in validate.load_checks(home, episodes.ref) if check.blocking]
    if why := refusal(blocking, home.root / episodes.ref.path):
        raise Blocked(task.name, why)
    packed = dataset_stage.run(task, home, episodes.ref)
    summary = EpisodesSummary.of(episodes)
    return Dataset(
        task,
        packed.ref,
        episodes.ref,
        load_dataset(home, packed.ref),
        report.files if isinstance(data, FrameLogs) else report.fresh,
        read_quarantine(home.root / episodes.ref.path),
        summary.dropped,
    )


def _ingest(
    task: Task, home: Home, data: Data, progress: Progress
) -> "tuple[ArtifactRef, IngestReport]":
    """Return the snapshot of the recordings, and the report about the logs of this call."""
    from kinemill.ingest import snapshot as snapshots
    from kinemill.ingest import stage as ingest

    if not isinstance(data, FrameLogs):
        folder = log_path(data) if data is not None else None
        report = ingest.run(task, home, folder, progress)
        return report.artifact.ref, report
    report = ingest.run(task, home, data.write(task, home), progress)
    hashes = {str(log["hash"]) for log in report.files}
    entries = list(snapshots.Snapshot(home, report.artifact.ref))
    selected = [entry for entry in entries if entry.hash in hashes]
    if len(selected) == len(entries):
        return report.artifact.ref, report
    # Frames of earlier calls stay recordings of the task, but are no part of this dataset.
    return snapshots.publish_subset(home, task.name, selected).ref, report
