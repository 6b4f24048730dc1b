"""Recordings that the report shows: the first ones by content hash with and without findings."""

from dataclasses import dataclass, replace

from kinemill.ingest.raw import Reason

FAULTY = 100
SOUND = 60  # listed recordings with and without findings
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


def shortened(item: RecordingSample) -> RecordingSample:
    """Return a recording with as many reasons and tracks as the report shows."""
    return replace(
        item,
        reasons=item.reasons[:REASONS],
        omitted=max(0, len(item.reasons) - REASONS),
        strip=item.strip[:TRACKS],
    )
