"""Summary of a recording, stored with the artifact `recording`."""

from dataclasses import dataclass, field

from kinemill.ingest.channel_stats import ChannelStats
from kinemill.ingest.raw import Reason
from kinemill.store import StoredSummary


@dataclass(frozen=True)
class TrackFile:
    """A continuous stretch of a recording, in a separate file.

    Attributes:
        index: position in the recording, from 0.
        start_s: time of the first row, s.
        part: name of the part of the log that it is from; "" for a log without parts.
    """

    index: int
    rows: int
    start_s: float
    file: str
    part: str = ""


@dataclass(frozen=True)
class RecordingSummary(StoredSummary):
    """Numbers of a recording.

    Attributes:
        hash: of the content of the log.
        format: name of the reader.
        rows: rows of the log.
        dropped_rows: rows that are in no track.
        tracks: in the order of time, by part; empty if nothing could be read.
        reasons: why rows were dropped, or why nothing could be read.
        channels: statistics over all tracks, by channel.
        start: time of the first stamp, s since 1970 in UTC; None if the clock of the log does not
            count from there.
        merged: content hashes of the recordings that edits merge into this one.
    """

    hash: str
    format: str
    rows: int
    dropped_rows: int
    tracks: list[TrackFile]
    reasons: list[Reason]
    channels: dict[str, ChannelStats] = field(default_factory=dict[str, ChannelStats])
    start: float | None = None
    merged: list[str] = field(default_factory=list[str])
