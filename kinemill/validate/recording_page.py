"""Page of one recording: every channel over time, with the findings of the checks.

The page is one file that opens offline. Time is s since the first stamp of the recording.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from kinemill.errors import BadInput
from kinemill.ingest import Recording
from kinemill.ingest.edit_recording import EditRow
from kinemill.ingest.recording_summary import TrackFile
from kinemill.ingest.rows import read_rows
from kinemill.reports.charts import POINTS, Band, Line, axis_label, line_chart, thinned
from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.task import Task
from kinemill.validate.apply_checks import Finding, Verdict, apply_checks_to_track, skip_checks
from kinemill.validate.faults import runs

WIDTH = 1100
HEIGHT = 172  # px of one channel
TRACKS = 12  # drawn tracks of a recording, those with most findings

Window = tuple[int, int]  # first row of a track, and the one after the last


@dataclass(frozen=True)
class Stretch:
    """One track of the page: its rows and their verdict."""

    index: int
    frame: pl.DataFrame
    verdict: Verdict
    part: str = ""  # of the recording, if that has several

    @property
    def seconds(self) -> np.ndarray:
        """Time of its rows (n,), s."""
        return self.frame["time_s"].to_numpy()


def view(
    task: Task, recording: Recording, episode: int | None = None, edits: Sequence[EditRow] = ()
) -> str:
    """Return the page of a recording as HTML.

    Without `episode`, all tracks are shown.

    Raises:
        BadInput: The episode does not exist.
    """
    stretches = [_evaluate(task, recording, track) for track in recording.summary.tracks]
    selected, window = _select(stretches, recording, episode)
    read = [[item[key] or "" for key in _KEYS] for item in recording.summary.reasons]
    findings = [
        _finding_row(stretch, item) for stretch in selected for item in stretch.verdict.findings
    ]
    pieces = [piece for stretch in stretches for piece in stretch.verdict.pieces]
    drawn, remaining = _most_findings(selected)
    body = render(
        "validate/recording.html.j2",
        task=task,
        recording=recording,
        episode=episode,
        episodes=len(pieces),
        tracks=len(stretches),
        accepted=sum(stop - start for start, stop in pieces),
        rows=sum(stretch.frame.height for stretch in stretches),
        seconds=sum(float(np.ptp(stretch.seconds)) for stretch in stretches),
        n_findings=sum(len(stretch.verdict.findings) for stretch in stretches),
        edits=edits,
        drawn=[_drawn(task, stretch, window) for stretch in drawn],
        not_drawn=[*(f"track {stretch.index}" for stretch in remaining), *task.media],
        findings=[*read, *findings],
    )
    return html_page(f"{task.name}: {recording.name}", [body])


def _select(
    stretches: list[Stretch], recording: Recording, episode: int | None
) -> tuple[list[Stretch], Window | None]:
    pieces = [(stretch, piece) for stretch in stretches for piece in stretch.verdict.pieces]
    if episode is None:
        return stretches, None
    if episode >= len(pieces):
        raise BadInput(recording.name, f"has {len(pieces)} episodes", expected=f"no. {episode}")
    stretch, piece = pieces[episode]
    return [stretch], piece


def _evaluate(task: Task, recording: Recording, track: TrackFile) -> Stretch:
    frame = read_rows(recording.folder / track.file).select("time_s", *task.numbers)
    values = {name: frame[name].to_numpy() for name in task.columns}
    verdict = apply_checks_to_track(values, task)
    if recording.released:  # show the findings, but accept the rows
        verdict = Verdict(skip_checks(values, task).pieces, verdict.findings, verdict.dropped)
    return Stretch(track.index, frame, verdict, track.part)


def _most_findings(stretches: Sequence[Stretch]) -> tuple[list[Stretch], list[Stretch]]:
    """Return the tracks with most findings, and the remaining ones."""
    ranked = sorted(stretches, key=lambda item: -len(item.verdict.findings))
    return sorted(ranked[:TRACKS], key=lambda item: item.index), ranked[TRACKS:]


def _drawn(
    task: Task, stretch: Stretch, window: Window | None
) -> tuple[Stretch, list[float], dict[str, str]]:
    """Return a track with the ends of its charts, s, and a chart for each channel."""
    first, last = window or (0, stretch.frame.height)
    room = (last - first) // 20 if window else 0  # rows before and after an episode
    rows = slice(max(0, first - room), min(stretch.frame.height, last + room))
    ends = stretch.seconds[rows][[0, -1]].tolist()
    return stretch, ends, {name: _chart(task, stretch, name, rows) for name in task.numbers}


def _chart(task: Task, stretch: Stretch, name: str, rows: slice) -> str:
    seconds = stretch.seconds[rows]
    values = stretch.frame[name].to_numpy()[rows]
    time, drawn = thinned(seconds, values)
    action = task.channels[name].role == "action"
    line = Line(name, "value", time, drawn, staircase=action and len(seconds) <= POINTS)
    limits = [
        Line(f"limit {limit:g}", "limit", seconds[[0, -1]], np.array([limit, limit]))
        for limit in task.channels[name].limits or ()
        if _is_near(limit, values)
    ]
    return line_chart(
        [*limits, line],
        labels=("time, s", axis_label(name, task.channels[name].unit)),
        size=(WIDTH, HEIGHT),
        bands=_bands(stretch, name),
    )


def _is_near(limit: float, values: np.ndarray) -> bool:
    """Return whether a limit is close enough to draw it without flattening the curve."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return True
    span = float(np.ptp(finite)) or 1.0
    return float(finite.min()) - span < limit < float(finite.max()) + span


def _bands(stretch: Stretch, name: str) -> list[Band]:
    """Return bands for the stretches that are in no episode, and for the findings of a channel."""
    seconds = stretch.seconds
    accepted = np.zeros(len(seconds), dtype=np.bool_)
    for start, stop in stretch.verdict.pieces:
        accepted[start:stop] = True
    lost = [
        Band(float(seconds[start]), float(seconds[stop - 1]), "lost", "left out")
        for start, stop in runs(~accepted)
    ]
    return lost + [
        Band(
            float(seconds[item.fault.start]),
            float(seconds[item.fault.stop - 1]),
            "mended" if item.repaired else "found",
            f"{item.check}: {item.fault.actual}; expected {item.fault.expected}",
        )
        for item in stretch.verdict.findings
        if item.fault.channel == name
    ]


_KEYS = ("check", "channel", "where", "found", "expected", "fix")


def _finding_row(stretch: Stretch, item: Finding) -> list[str]:
    fault = item.fault
    seconds = stretch.seconds
    where = f"{seconds[fault.start]:.3f}–{seconds[fault.stop - 1]:.3f} s"
    return [item.check, fault.channel or "", where, item.message, fault.expected, fault.fix]
