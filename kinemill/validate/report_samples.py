"""Recordings that the report shows: the first ones by content hash with findings."""

from dataclasses import dataclass

from kinemill.ingest.raw import Reason

FAULTY = 100  # listed recordings
REASONS = 8  # listed reasons of one recording


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
    """A recording in the report, with the number of its accepted episodes."""

    episodes: int
