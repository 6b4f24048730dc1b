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
class ChannelCoverage:
    """Distance of new values from the training data: population stability, Kolmogorov-Smirnov."""

    psi: float
    ks: float


@dataclass(frozen=True)
class EpisodeMeasurement:
    """Errors and coverage of one episode, by channel."""

    episode: str
    rows: int
    windows: int
    errors: dict[str, ChannelError]
    coverage: dict[str, ChannelCoverage]


@dataclass(frozen=True)
class RecordingMeasurement:
    """Measurements of the episodes of one recording."""

    recording: str
    name: str
    episodes: list[EpisodeMeasurement]


@dataclass(frozen=True)
class HeldOutEpisode:
    """Error of the champion on one held-out episode, by state."""

    episode: str
    name: str
    windows: int
    rmse: dict[str, float]


@dataclass(frozen=True)
class HeldOut:
    """Error of the champion on its held-out episodes, by state."""

    episodes: list[HeldOutEpisode]
    windows: int
    rmse: dict[str, float]


@dataclass(frozen=True)
class DriftRule:
    """The limit: an error over `factor` times the usual, `horizon` steps ahead."""

    factor: float
    horizon: int
    stride: int
    seconds: float


@dataclass(frozen=True)
class DriftChampion:
    """The champion of a drift report; `units` by state."""

    version: int
    dataset: str
    units: dict[str, str]
    held_out: HeldOut


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


@dataclass(frozen=True)
class EpisodeVerdict:
    """Verdict on one episode: its worst state, the ratio of its error, and all measurements."""

    episode: str
    recording: str
    name: str
    verdict: Verdict
    message: str
    worst: str | None
    ratio: float | None
    rows: int
    windows: int
    errors: dict[str, ChannelError]
    coverage: dict[str, ChannelCoverage]


@dataclass(frozen=True)
class DriftReport:
    """Result of a comparison of new episodes with the champion's training data.

    Attributes:
        status: whether there was a comparable champion.
        why: reason for a status other than `evaluated`.
        rule: the limit.
        counts: numbers of recordings and episodes.
        drifting: recordings that drift.
        episodes: verdicts on all new episodes.
    """

    task: str
    status: Status
    why: str
    rule: DriftRule
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
