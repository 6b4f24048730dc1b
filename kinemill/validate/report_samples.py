"""Recordings that the report shows: some with findings and some without.

The selection depends only on content hashes, so each part of a set selects independently.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kinemill.ingest.raw import Reason

FAULTY, SOUND = 100, 60  # listed recordings with and without findings
_FAULTY_OF_PART, _SOUND_OF_PART = 16, 4  # the same for one of 16 parts
REASONS = 8  # listed reasons of one recording
TRACKS = 100  # drawn tracks of one recording


@dataclass(frozen=True)
class FaultSpan:
    """First and last time of a finding, s."""

    check: str
    start: float
    stop: float


@dataclass(frozen=True)
class TrackStrip:
    """One track over time, in s since the recording's first stamp.

    Attributes:
        start: time of the first row.
        stop: time of the last row.
        accepted: first and last time of each accepted piece.
        faults: findings.
    """

    start: float
    stop: float
    accepted: list[tuple[float, float]]
    faults: list[FaultSpan]


@dataclass(frozen=True)
class QuarantinedRecording:
    """A recording without an accepted episode, as `quarantine.json` lists it.

    Attributes:
        recording: content hash.
        name: name of the log.
        reasons: the first reasons.
        omitted: number of further reasons.
    """

    recording: str
    name: str
    reasons: list[Reason]
    omitted: int


@dataclass(frozen=True)
class RecordingSample(QuarantinedRecording):
    """A recording in the report.

    Attributes:
        episodes: number of accepted episodes.
        strip: its first tracks.
    """

    episodes: int
    strip: list[TrackStrip]


@dataclass(frozen=True)
class Samples:
    """Recordings with and without findings, sorted by hash."""

    faulty: list[RecordingSample]
    sound: list[RecordingSample]


def gather(recordings: Iterable[RecordingSample]) -> Samples:
    """Select from recordings that are sorted by hash, and shorten their lists."""
    faulty, sound = list[RecordingSample](), list[RecordingSample]()
    for item in recordings:
        if item.reasons and len(faulty) < FAULTY:
            faulty.append(_shorten(item))
        elif not item.reasons and len(sound) < SOUND:
            sound.append(_shorten(item))
    return Samples(faulty, sound)


def _shorten(item: RecordingSample) -> RecordingSample:
    return RecordingSample(
        item.recording,
        item.name,
        item.reasons[:REASONS],
        max(0, len(item.reasons) - REASONS),
        item.episodes,
        item.strip[:TRACKS],
    )


def merge_parts(parts: Iterable[Samples]) -> Samples:
    """Merge the selections of several parts, given in the order of hashes."""
    every = list(parts)
    return Samples(
        [item for part in every for item in part.faulty][:FAULTY],
        [item for part in every for item in part.sound][:SOUND],
    )


def truncate(part: Samples) -> Samples:
    """Reduce samples to the size of one of 16 parts; hashes distribute faulty ones evenly."""
    return Samples(part.faulty[:_FAULTY_OF_PART], part.sound[:_SOUND_OF_PART])
