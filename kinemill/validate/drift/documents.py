"""Documents of data drift: measurements, verdicts, and the report."""

from dataclasses import dataclass, field
from typing import Literal

Status = Literal["evaluated", "no champion", "not comparable"]
EVALUATED: Status = "evaluated"
NO_CHAMPION: Status = "no champion"
NOT_COMPARABLE: Status = "not comparable"

Verdict = Literal["drift", "no drift", "too short"]
DRIFT: Verdict = "drift"
NO_DRIFT: Verdict = "no drift"
TOO_SHORT: Verdict = "too short"


@dataclass(frozen=True)
class ChannelError:
    """Error of a state at the horizon, in its unit; None if the rollouts diverge."""

    unit: str
    rmse: float | None
    usual: float
    ratio: float | None


@dataclass(frozen=True)
class EpisodeMeasurement:
    """Measurements of one episode.

    Attributes:
        errors: errors by state; empty if the episode is too short.
        stability: population stability index by channel, see `population_stability`.
    """

    episode: str
    rows: int
    windows: int
    errors: dict[str, ChannelError]
    stability: dict[str, float]


@dataclass(frozen=True)
class DriftChampion:
    """The champion of a drift report, with its error on held-out episodes by state."""

    version: int
    dataset: str
    units: dict[str, str]
    held_out: dict[str, float]


@dataclass(frozen=True)
class DriftCounts:
    """Number of new recordings, of new episodes, and of episodes by verdict."""

    recordings: int = 0
    episodes: int = 0
    drift: int = 0
    no_drift: int = 0
    too_short: int = 0


@dataclass(frozen=True)
class DriftingRecording:
    """A recording that drifts, with the error of its worst episode as text."""

    recording: str
    name: str
    message: str


@dataclass(frozen=True, kw_only=True)
class EpisodeVerdict(EpisodeMeasurement):
    """Verdict on one episode, its worst state, and the ratio of the error there to the usual."""

    recording: str
    name: str
    verdict: Verdict
    message: str
    worst: str | None
    ratio: float | None


@dataclass(frozen=True)
class DriftReport:
    """Result of a comparison of new episodes with the champion's training data.

    Attributes:
        status: whether there was a comparable champion.
        why: reason for a status other than `evaluated`.
        factor: ratio of an error to the usual above which an episode drifts.
        horizon, seconds: steps ahead of the errors, and their time, s.
        counts: numbers of recordings and episodes.
        drifting: recordings that drift.
        episodes: verdicts on all new episodes.
    """

    task: str
    status: Status
    why: str
    factor: float
    horizon: int
    seconds: float
    champion: DriftChampion | None = None
    counts: DriftCounts = DriftCounts()
    drifting: list[DriftingRecording] = field(default_factory=list[DriftingRecording])
    episodes: list[EpisodeVerdict] = field(default_factory=list[EpisodeVerdict])


@dataclass(frozen=True)
class LatestDrift:
    """Short form of the last drift report; `champion` is its version."""

    status: Status
    counts: DriftCounts
    drifting: list[DriftingRecording]
    champion: int | None
