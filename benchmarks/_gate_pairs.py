"""Synthetic pairs of models of known quality: errors in the form that verification measures.

Errors of neighboring windows are correlated (AR(1)). Two models share half of their variance,
because both miss the same disturbances. Amplitudes vary between episodes and models. The draws are
pairs of EQUAL models; the errors of better and worse models are scaled.

`DEVELOPMENT_KINDS` were visible while the constants of `kinemill.verify.significance` and
`kinemill.verify.losses` were selected, so they do not validate them. `HELD_OUT_KINDS` were added
afterwards: all of their parameters were fixed and committed before the gate ran on any of them, and
do not change after a run. If the gate fails on one, fix the gate.

Symbols: E episodes, W windows of an episode, S states.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import stdtr, stdtrit

from kinemill.dataset import PackedEpisode
from kinemill.dataset.scale import Scale
from kinemill.runtime.window_metrics import Floats
from kinemill.verify.analysis import Comparisons
from kinemill.verify.comparison import Comparison
from kinemill.verify.errors import Errors
from kinemill.verify.free_run import FreeRun
from kinemill.verify.significance import CONFIDENCE, LEAST_FREEDOM, MARGIN

CHANNELS = ("position", "velocity")
HORIZONS, STRIDE = (1, 5, 25), 5
DEVELOPMENT_KINDS = ("plain", "resting", "heavy tails", "drifting")
HELD_OUT_KINDS = (
    "regimes",
    "biased",
    "growing",
    "outlier episodes",  # held out until it changed the rule on whole episodes
    "student",
    "uneven",
    "rare outliers",  # added after that change, to check it
)
# Seeds count from the position in this list: append new kinds.
KINDS = (*DEVELOPMENT_KINDS, *HELD_OUT_KINDS)
CORRELATION = {1: 0.3, 5: 0.6, 25: 0.8}  # of the errors of neighboring windows, by horizon
DRIFT = 0.98  # correlation of drifting errors: a time constant of 50 windows
SHARED = 0.5  # share of the variance that both models have in common
EPISODES, BY_MODEL = 0.5, 0.15  # standard deviations of the logarithm of amplitudes
BURSTS = 1.0  # of the logarithm of amplitudes within episodes, with heavy tails
RESTING = (0.2, 0.5)  # share of an episode in which the robot rests
STILL = 1e-3  # errors then, over those in motion
ERROR = {1: 0.02, 5: 0.08, 25: 0.2}  # typical, in training spreads
FREE_RUN = 1.5  # errors over whole episodes, over those at the last horizon
# Parameters of the held-out kinds, fixed before the first run.
DWELL = 15.0  # mean windows in one of two regimes, a Markov chain
REGIMES = ((2.0, 0.5), (0.5, 2.0))  # amplitude of each model, by regime
BIAS = 1.0  # standard deviation of offsets of whole episodes, over that of the AR(1) part
GROWTH_FACTOR = 4.0  # amplitude at the end of an episode, over that at its start
OUTLIERS = 1.0 / 6.0  # probability of an outlier episode
OUTLIER = 5.0  # amplitude there, of both models
OUTLIER_BY_MODEL = 0.4  # standard deviation of its logarithm by model, there
RARE, RARE_OUTLIER = 1.0 / 12.0, 10.0  # probability and amplitude of rare outliers
FREEDOM = 3.0  # degrees of freedom of Student's t
UNEVEN = (0.3, 3.0)  # windows of an episode over the nominal number, log-uniform


@dataclass(frozen=True)
class Size:
    """A test split: episodes, and windows in each."""

    episodes: int
    windows: int

    def __str__(self) -> str:
        return f"{self.episodes} x {self.windows}"


@dataclass(frozen=True)
class Drawn:
    """Errors of one model over the horizon and over whole episodes."""

    errors: Errors
    run: FreeRun


def draw_pair(kind: str, size: Size, random: np.random.Generator) -> tuple[Drawn, Drawn]:
    """Draw the errors of two equal models on one test split.

    Args:
        kind: of errors, one of `KINDS`.
        size: of the test split; with `uneven` its windows are nominal.
        random: source of all draws.
    """
    parts = [_episode(kind, _length(kind, size, random), random) for _ in range(size.episodes)]
    errors_by_horizon = {
        steps: np.concatenate([part[steps] for part in parts]) for steps in HORIZONS
    }
    whole = np.array([FREE_RUN * np.sqrt((part[HORIZONS[-1]] ** 2).mean(axis=0)) for part in parts])
    whole *= np.exp(BY_MODEL * random.standard_normal(whole.shape))
    lengths = np.array([len(part[HORIZONS[-1]]) for part in parts], dtype=np.int64)
    return _drawn(errors_by_horizon, whole, lengths, 0), _drawn(
        errors_by_horizon, whole, lengths, 1
    )


def _length(kind: str, size: Size, random: np.random.Generator) -> int:
    """Return how many windows the next episode has."""
    if kind != "uneven":
        return size.windows
    return round(size.windows * math.exp(random.uniform(*np.log(UNEVEN))))


def _episode(kind: str, windows: int, random: np.random.Generator) -> dict[int, Floats]:
    """Return the errors of two models in one episode by horizon, (W, 2, S)."""
    amplitude = np.exp(EPISODES * random.standard_normal())
    amplitude *= np.exp(BY_MODEL * random.standard_normal((2, len(CHANNELS))))
    envelope = _envelope(kind, windows, random)
    offset = np.zeros((2, len(CHANNELS)))
    if kind == "biased":  # a model is off in the same direction at all horizons
        offset = BIAS * random.standard_normal(offset.shape)
    errors_by_horizon = dict[int, Floats]()
    for steps in HORIZONS:
        correlation = DRIFT if kind == "drifting" else CORRELATION[steps]
        shared = _process(_white(kind, (windows, 1, len(CHANNELS)), random), correlation)
        own = _process(_white(kind, (windows, 2, len(CHANNELS)), random), correlation)
        mixed = math.sqrt(SHARED) * shared + math.sqrt(1.0 - SHARED) * own
        errors_by_horizon[steps] = ERROR[steps] * amplitude * envelope * (mixed + offset)
    return errors_by_horizon


def _envelope(kind: str, windows: int, random: np.random.Generator) -> Floats:
    """Return the amplitudes within one episode, which broadcast to (W, 2, S)."""
    envelope = np.ones((windows, 1, 1))
    match kind:
        case "resting":
            still = int(windows * random.uniform(*RESTING))
            first = random.integers(windows - still + 1)
            envelope[first : first + still] = STILL
        case "heavy tails":
            noise = random.standard_normal((windows, 2, 1))
            envelope = np.exp(BURSTS * _process(noise, CORRELATION[HORIZONS[-1]]))
        case "regimes":
            switches = np.cumsum(random.random(windows) < 1.0 / DWELL)
            regime = (random.integers(2) + switches) % 2
            envelope = np.array(REGIMES)[regime][:, :, None]
        case "growing":
            envelope = np.linspace(1.0, GROWTH_FACTOR, windows)[:, None, None]
        case "outlier episodes" | "rare outliers":
            rare = kind == "rare outliers"
            probability, times = (RARE, RARE_OUTLIER) if rare else (OUTLIERS, OUTLIER)
            if random.random() < probability:
                envelope = times * np.exp(OUTLIER_BY_MODEL * random.standard_normal((1, 2, 1)))
        case _:
            pass
    return envelope


def _white(kind: str, shape: tuple[int, int, int], random: np.random.Generator) -> Floats:
    """Return white noise of unit variance."""
    if kind != "student":
        return random.standard_normal(shape)
    return random.standard_t(FREEDOM, shape) / math.sqrt(FREEDOM / (FREEDOM - 2.0))


def _process(noise: Floats, correlation: float) -> Floats:
    """Return an AR(1) process of unit variance from white noise, which it overwrites, (W, 2, S)."""
    noise[1:] *= math.sqrt(1.0 - correlation**2)
    return np.asarray(lfilter([1.0], [1.0, -correlation], noise, axis=0))


def _drawn(
    errors_by_horizon: dict[int, Floats], whole: Floats, lengths: NDArray[np.int64], which: int
) -> Drawn:
    """Return one model's errors on episodes of so many windows each, (E,)."""
    stops = np.cumsum(lengths)
    bounds = zip((stops - lengths).tolist(), stops.tolist(), strict=True)
    own = {steps: errors[:, which] for steps, errors in errors_by_horizon.items()}
    rmse = np.sqrt((own[HORIZONS[-1]] ** 2).mean(axis=0))
    none = np.zeros(len(CHANNELS))
    scale = Scale(np.ones(len(CHANNELS)), none, none, none)
    episodes = tuple(
        PackedEpisode(str(k), str(k), str(k), "test", start * STRIDE, stop * STRIDE)
        for k, (start, stop) in enumerate(bounds)
    )
    errors = Errors(
        channels=CHANNELS,
        units=("m", "m/s"),
        dt=0.02,
        starts=np.arange(stops[-1], dtype=np.int64) * STRIDE,
        history=1,
        stride=STRIDE,
        by_horizon=own,
        by_step=np.tile(rmse, (HORIZONS[-1], 1)),
        mae_by_step=np.tile(rmse, (HORIZONS[-1], 1)),
        scale=scale,
        episode=np.repeat(np.arange(len(lengths)), lengths),
    )
    steps = (lengths * STRIDE).astype(np.float64)
    return Drawn(errors, FreeRun(episodes, steps, whole[:, which], CHANNELS, scale))


def scaled(comparison: Comparison, factor: float, margin: float = MARGIN) -> Comparison:
    """Return the comparison of a model whose errors are `factor` times as large.

    Exact as long as no error is below the sensor resolution: the logarithm of the ratio moves by
    that of the factor, and its standard error stays.
    """
    freedom = max(comparison.effective_n - 1.0, LEAST_FREEDOM)
    half = math.log(comparison.high / comparison.ratio)
    error = half / float(stdtrit(freedom, CONFIDENCE))
    beyond = math.log(comparison.ratio * factor) - math.log1p(margin)
    if math.isnan(half):
        p_worse = math.nan  # without an interval nothing is tested
    elif error > 0.0:
        p_worse = float(stdtr(freedom, -beyond / error))
    else:
        p_worse = float(beyond <= 0.0)
    return replace(
        comparison,
        error=comparison.error * factor,
        low=comparison.low * factor,
        high=comparison.high * factor,
        p_worse=p_worse,
    )


def scale_all(
    comparisons: Comparisons, factor: float, worse: Sequence[tuple[str, str, float]] = ()
) -> Comparisons:
    """Return comparisons of a model whose errors are `factor` times as large at all horizons.

    Args:
        comparisons: of two equal models.
        factor: of its errors.
        worse: where it is another factor: horizon, channel, factor.
    """
    apart = {(horizon, channel): other for horizon, channel, other in worse}
    return {
        horizon: {
            channel: scaled(one, apart.get((horizon, channel), factor))
            for channel, one in by_channel.items()
        }
        for horizon, by_channel in comparisons.items()
    }
