"""Validated episodes of one recording: judged once, published once, whatever else arrives."""

import errno
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from kinemill.digests import link
from kinemill.errors import is_fault_of_content, spell_failure
from kinemill.home import Home
from kinemill.ingest import Recording
from kinemill.ingest.media import refer_to_recording
from kinemill.ingest.raw import reason
from kinemill.ingest.rows import SUFFIX, read_rows, write_rows
from kinemill.spec import Task
from kinemill.store import Outcome, Staged, stage_outcome
from kinemill.validate import responses, table
from kinemill.validate.beside import with_what_is_beside
from kinemill.validate.faults import Track
from kinemill.validate.judge import Finding, Verdict, judge
from kinemill.validate.release import pardon
from kinemill.validate.twins import sketch

STAGE, VERSION = "validated", 7
SHOWN = 20  # reasons listed for one check of one recording; the rest are counted

Json = dict[str, Any]


@dataclass(frozen=True)
class Episode:
    """One accepted episode: continuous rows at the task's dt, free of what the checks look for.

    Its bytes are checked against their digest when somebody asks for them.
    """

    id: str
    recording: str
    name: str
    rows: int
    file: str
    folder: Callable[[], Path] = field(compare=False, repr=False)
    outcome: str  # digest of what was published of its recording, which names the rows
    part: str = ""  # of its recording, where that has several

    @property
    def path(self) -> Path:
        """Where its rows lie.

        Raises:
            CorruptArtifact: they are damaged.
        """
        return self.folder() / self.file

    def read(self) -> pl.DataFrame:
        """Read `time_s` (s since the recording's first stamp) and the task's columns."""
        return read_rows(self.path)


def rules(task: Task) -> Json:
    """Return the part of the task that decides what becomes of a recording."""
    part = task.part("dt", "validate", "channels")
    del part["validate"]["max_quarantined_share"]
    for channel in part["channels"].values():
        del channel["source"]
    return {"version": VERSION, **part}


def validate_recording(
    task: Task, home: Home, recording: Recording, asked: Json
) -> Outcome | Staged:
    """Judge one recording, aside, or find it judged already.

    Args:
        task: what to look for and what to do about it.
        home: where outcomes are kept.
        recording: a recording with tracks.
        asked: `rules(task)`, taken once for all recordings.
    """
    inputs = validated_inputs(recording, asked)
    return stage_outcome(
        home, STAGE, task.name, inputs, lambda folder: judge_into(task, recording, folder)
    )


def validated_inputs(recording: Recording, asked: Json) -> Json:
    """Return everything that becomes of a recording depends on; `asked` is `rules(task)`."""
    inputs = {"recording": recording.ref.digest, "rules": asked}
    return inputs | ({"released": True} if recording.released else {})


def judge_into(task: Task, recording: Recording, folder: Path) -> Json:
    """Judge a recording, write its episodes into `folder`, and return the summary.

    A recording that trips a check has no episodes: the error is its reason, and others go on.
    """
    try:
        return _judge_into(task, recording, folder)
    except Exception as error:
        if not is_fault_of_content(error):
            raise
        for path in folder.iterdir():
            path.unlink()
        failed = reason(
            "checks",
            "whole log",
            f"a check failed: {spell_failure(error)}",
            expected="values that every check can work with",
            fix="report this fault of kinemill or of the plug-in, and see the log for odd values",
        )
        return {
            "hash": recording.hash,
            "quarantined": True,
            "episodes": [],
            "dropped_rows": sum(track["rows"] for track in recording.summary["tracks"]),
            "dropped": {},
            "found": {},
            "reasons": [failed],
            "measured": [],
            "sketches": [],
            "response": None,
            "strip": [],
            "table": {},
        }


def _judge_into(task: Task, recording: Recording, folder: Path) -> Json:
    episodes: list[Json] = []
    reasons: list[Json] = []
    kept: list[Track] = []
    dropped: Counter[str] = Counter()
    strip: list[Json] = []
    measured: list[Json] = []
    for track in recording.summary["tracks"]:
        file = recording.folder / track["file"]
        frame = read_rows(file)
        as_kept = file.suffix == SUFFIX and frame.columns == ["time_s", *task.recorded]
        frame = frame.select("time_s", *task.recorded)
        values = _track_of(frame, task)
        verdict = pardon(values, task) if recording.released else judge(values, task)
        verdict = with_what_is_beside(verdict, frame, task)
        label = f"track {track['index']}, " if len(recording.summary["tracks"]) > 1 else ""
        reasons += [_reason(finding, frame["time_s"], label) for finding in verdict.findings]
        frame = frame.with_columns(pl.Series(name, item) for name, item in verdict.repaired.items())
        dropped.update(verdict.dropped)
        measured.append(verdict.measured)
        strip.append(_strip(verdict, frame["time_s"]))
        for start, stop in verdict.pieces:
            number = len(episodes)
            piece = frame.slice(start, stop - start)
            # What checks worked out about a track is known of a piece that is all of it.
            untouched = piece.height == frame.height and not verdict.repaired
            same = file if untouched and as_kept else None
            entry = _publish(folder, recording.hash, number, piece, same)
            episodes.append(entry | ({"part": track["part"]} if "part" in track else {}))
            kept.append(values if untouched else _track_of(piece, task))
    rows = [table.row(item["id"], own, task) for item, own in zip(episodes, kept, strict=True)]
    refer_to_recording(task, recording.ref, recording.folder, folder)
    return {
        "hash": recording.hash,
        "quarantined": not episodes,
        "episodes": episodes,
        "dropped_rows": sum(dropped.values()),
        "dropped": dict(sorted(dropped.items())),
        "found": dict(sorted(Counter(reason["check"] for reason in reasons).items())),
        "reasons": _few(reasons),
        "measured": measured,
        "sketches": _sketches(episodes, kept, task),
        "response": responses.sketch(_longest(kept), task) if kept else None,
        "strip": strip,
        "table": table.columns_from(rows, task) if rows else {},
    }


def _track_of(frame: pl.DataFrame, task: Task) -> Track:
    return Track({name: frame[name].to_numpy() for name in task.columns})


def _longest(tracks: list[Track]) -> Track:
    return max(tracks, key=lambda track: len(next(iter(track.values()))))


def _publish(
    folder: Path, recording: str, number: int, piece: pl.DataFrame, same: Path | None
) -> Json:
    """Write an episode; `same` is the file of a track that it is, which is not written again."""
    file = f"episode-{number:04d}{SUFFIX}"
    if same is None or not _linked(same, folder / file):
        write_rows(piece, folder / file)
    return {
        "id": f"{recording[:16]}-{number:04d}",
        "rows": piece.height,
        "start_s": float(piece["time_s"][0]),
        "file": file,
    }


def _linked(file: Path, again: Path) -> bool:
    """Let a published file, which never changes, be another one too, where the disk can do that."""
    try:
        link(file, again)
    except OSError as error:
        if error.errno in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
            return False
        raise
    return True


def _sketches(episodes: list[Json], kept: list[Track], task: Task) -> list[Json]:
    """Return what is compared with other recordings, of each part by itself."""
    parts: dict[str, list[Track]] = {}
    for episode, piece in zip(episodes, kept, strict=True):
        parts.setdefault(episode.get("part", ""), []).append(piece)
    return [{"part": part, "sketch": sketch(pieces, task)} for part, pieces in parts.items()]


def _reason(finding: Finding, time_s: pl.Series, label: str) -> Json:
    fault = finding.fault
    first, last = fault.start, fault.stop - 1
    rows = f"grid row {first}" if first == last else f"grid rows {first}-{last}"
    return {
        "check": finding.check,
        "channel": fault.channel,
        "where": f"{label}{rows}, {time_s[first]:.3f}-{time_s[last]:.3f} s",
        "found": finding.told,
        "expected": fault.expected,
        "fix": fault.fix,
    }


def _few(reasons: list[Json]) -> list[Json]:
    """Keep the first reasons of each check, and count the rest in one more."""
    seen: Counter[str] = Counter()
    few: list[Json] = []
    for item in reasons:
        seen[item["check"]] += 1
        if seen[item["check"]] <= SHOWN:
            few.append(item)
    for check, count in seen.items():
        if count > SHOWN:
            last = next(item for item in reversed(few) if item["check"] == check)
            more = {"where": "further on", "found": f"{count - SHOWN} more like these"}
            few.append({**last, **more, "channel": None})
    return few


def _strip(verdict: Verdict, time_s: pl.Series) -> Json:
    """Return when the track, its kept pieces and its faults were, in s, for the picture."""
    faults = [
        [item.check, time_s[item.fault.start], time_s[item.fault.stop - 1]]
        for item in verdict.findings
    ]
    return {
        "track": [time_s[0], time_s[-1]],
        "kept": [[time_s[start], time_s[stop - 1]] for start, stop in verdict.pieces],
        "faults": faults[:SHOWN],
    }
