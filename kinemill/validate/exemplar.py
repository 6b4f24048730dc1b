"""Exemplar: the chart of recordings and episodes in the Dagster catalog.

The chart is one SVG: the number of rows of each recording, and the channels of the recording of
median length. Hashes are random, so the first recordings by hash are a fair sample.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.catalog import CatalogEntry
from kinemill.ingest import Recording
from kinemill.ingest.recordings import open_recording
from kinemill.ingest.rows import read_rows
from kinemill.ingest.snapshot import Snapshot
from kinemill.reports.charts import POINTS, Band, Line, Whisker, axis_label, line_chart, thinned
from kinemill.reports.svg_grid import MOST, sheet
from kinemill.store import ArtifactRef, Home
from kinemill.task import Task
from kinemill.validate.clips import commands_of, joints_of
from kinemill.validate.cycles import STILL
from kinemill.validate.evaluation import Details
from kinemill.validate.published import open_results

SAMPLE = 60  # recordings in the chart
SIZE = (700, 152)  # px of a chart
TRACKS = 20  # drawn tracks of a recording


def recording_sheet(task: Task, home: Home, recordings: ArtifactRef) -> str | None:
    """Draw the ingested recordings: their rows, and the one of median length.

    Return None if no recording of the sample could be read.
    """
    snapshot = Snapshot(home, recordings)
    sample = sorted(islice(snapshot, SAMPLE), key=lambda entry: entry.name)
    entry = _median([entry for entry in sample if entry.tracks])
    if entry is None:
        return None
    bars = [(entry.rows - entry.dropped_rows, entry.dropped_rows) for entry in sample]
    first = "rows of the log, by recording" + _of(len(sample), len(snapshot))
    charts = [(first, _bars(bars)), *_channels(task, open_recording(home, entry), [])]
    return sheet(charts, SIZE, 1, {"model": "read", "bad": "left out"})


def episode_sheet(
    task: Task, home: Home, recordings: ArtifactRef, episodes: ArtifactRef
) -> str | None:
    """Draw the accepted seconds of each recording, and one recording with its dropped rows.

    The example has median length among the recordings with both accepted rows and findings, or
    among all if there are none. Return None if no recording of the sample has a row.
    """
    snapshot = Snapshot(home, recordings)
    evaluated = {
        row.hash: (row.name, Details.parse(document, home.catalog_db))
        for row, document in open_results(home, episodes).first(SAMPLE)
    }
    entries = [entry for entry in snapshot.find_all(evaluated).values() if entry.tracks]
    faulty = [
        entry
        for entry in entries
        if any(track.faults and track.accepted for track in evaluated[entry.hash][1].strip)
    ]
    entry = _median(faulty or entries)
    if entry is None:
        return None
    sample = [details for _, details in sorted(evaluated.values(), key=lambda pair: pair[0])]
    bars = [(accepted, whole - accepted) for accepted, whole in map(_seconds, sample)]
    first = "seconds, by recording" + _of(len(sample), len(snapshot))
    _, example = evaluated[entry.hash]
    charts = [(first, _bars(bars)), *_channels(task, open_recording(home, entry), _bands(example))]
    return sheet(charts, SIZE, 1, {"model": "accepted", "bad": "left out; findings are darker"})


def _median(entries: Sequence[CatalogEntry]) -> CatalogEntry | None:
    """Return the recording with the median number of rows; of equal ones the first by hash."""
    ranked = sorted(entries, key=lambda entry: (entry.rows, entry.hash))
    return ranked[len(ranked) // 2] if ranked else None


def _seconds(evaluated: Details) -> tuple[float, float]:
    """Return the accepted and the total duration of a recording, s."""
    accepted = sum(stop - start for track in evaluated.strip for start, stop in track.accepted)
    return accepted, sum(track.stop - track.start for track in evaluated.strip)


def _of(count: int, total: int) -> str:
    return "" if count == total else f", {count} of {total}"


def _bars(amounts: Sequence[tuple[float, float]]) -> str:
    """Draw a stacked bar for each recording: accepted below, dropped on top."""
    bars = list[Whisker]()
    for index, (accepted, lost) in enumerate(amounts, 1):
        bars.append(Whisker(float(index), 0.0, float(accepted), "stem"))
        if lost:
            bars.append(Whisker(float(index), float(accepted), float(accepted + lost), "dropped"))
    ends = np.array([0.0, len(amounts) + 1.0])
    most = max((accepted + lost for accepted, lost in amounts), default=0.0)
    floor = Line("0", "limit", ends, np.zeros(2))
    return line_chart(
        [floor],
        labels=("recording, in order", "duration, s"),
        size=SIZE,
        y=(0.0, 1.05 * most or 1.0),
        whiskers=bars,
    )


def _channels(task: Task, recording: Recording, bands: Sequence[Band]) -> list[tuple[str, str]]:
    """Draw the channels of a recording over time, the first of them with its name."""
    tracks = recording.summary.tracks[:TRACKS]
    drawn = list[tuple[str, str]]()
    frames = [read_rows(recording.folder / track.file) for track in tracks]
    for name in _drawn(task, frames)[: MOST - 1]:
        title = f"{name}, {task.channels[name].unit}, over s"
        title += "" if drawn else f": {recording.name}"
        labels = ("time, s", axis_label(name, task.channels[name].unit))
        chart = line_chart([_curve(frames, name)], labels=labels, size=SIZE, bands=bands)
        drawn.append((title, chart))
    return drawn


def _drawn(task: Task, frames: Sequence[pl.DataFrame]) -> list[str]:
    """Return the channels to draw; for a motion clip its commands and the joints that move."""
    joints = [
        name for name in joints_of(task) if max(_std(frame[name]) for frame in frames) > STILL
    ]
    return [*commands_of(task), *joints] if joints else task.columns


def _std(values: pl.Series) -> float:
    array = values.to_numpy()
    return float(np.nanstd(array)) if np.isfinite(array).any() else 0.0


def _curve(frames: Sequence[pl.DataFrame], name: str) -> Line:
    """Return a channel over all tracks, with a gap between two of them."""
    x = list[NDArray[Any]]()
    y = list[NDArray[Any]]()
    points = POINTS // len(frames)
    for frame in frames:
        seconds, values = thinned(frame["time_s"].to_numpy(), frame[name].to_numpy(), points)
        x += [seconds, seconds[-1:]]
        y += [values, np.array([np.nan])]
    return Line(name, "value", np.concatenate(x), np.concatenate(y))


def _bands(evaluated: Details) -> list[Band]:
    """Return bands for dropped stretches and for findings."""
    bands = list[Band]()
    for track in evaluated.strip:
        start = track.start
        for first, last in [*track.accepted, (track.stop, track.stop)]:
            if first > start:
                bands.append(Band(start, first, "lost", "left out"))
            start = last
        bands += [Band(fault.start, fault.stop, "found", fault.check) for fault in track.faults]
    return bands
