"""Synthetic pairs of models whose truth is known: errors as verification measures them.

Errors of neighboring windows resemble one another (AR(1)), two models share half of their
variance, because both miss the same pushes, and amplitudes differ from episode to episode, by model
as well. What is drawn are two EQUAL models; a better or a worse one has its errors scaled.

Symbols: E episodes, W windows of an episode, S states.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import lfilter
from scipy.special import stdtr, stdtrit

from kinemill.dataset import PackedEpisode
from kinemill.runtime.window_metrics import Floats
from kinemill.verify.analysis import Comparisons
from kinemill.verify.comparison import Comparison
from kinemill.verify.errors import Errors
from kinemill.verify.free_run import FreeRun
from kinemill.verify.scale import Scale
from kinemill.verify.significance import CONFIDENCE, MARGIN

CHANNELS = ("position", "velocity")
HORIZONS, STRIDE = (1, 5, 25), 5
KINDS = ("plain", "resting", "heavy tails", "drifting")
LIKENESS = {1: 0.3, 5: 0.6, 25: 0.8}  # of the errors of neighboring windows, by horizon
DRIFT = 0.98  # the same where errors drift: 50 windows remember one another
SHARED = 0.5  # of the variance, which both models have in common
EPISODES, BY_MODEL = 0.5, 0.15  # standard deviations of the logarithm of amplitudes
BURSTS = 1.0  # of the logarithm of amplitudes within episodes, with heavy tails
RESTING = (0.2, 0.5)  # share of an episode in which the robot rests
STILL = 1e-3  # errors then, over those in motion
ERROR = {1: 0.02, 5: 0.08, 25: 0.2}  # typical, in training spreads
FREE_RUN = 1.5  # errors over whole episodes, over those at the last horizon


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
    """Draw the errors of two equal models on one test split."""
    parts = [_episode(kind, size.windows, random) for _ in range(size.episodes)]
    found = {steps: np.concatenate([one[steps] for one in parts]) for steps in HORIZONS}
    whole = np.array([FREE_RUN * np.sqrt((one[HORIZONS[-1]] ** 2).mean(axis=0)) for one in parts])
    whole *= np.exp(BY_MODEL * random.standard_normal(whole.shape))
    return _drawn(found, whole, size, 0), _drawn(found, whole, size, 1)


def _episode(kind: str, windows: int, random: np.random.Generator) -> dict[int, Floats]:
    """Return the errors of two models in one episode by horizon, (W, 2, S)."""
    amplitude = np.exp(EPISODES * random.standard_normal())
    amplitude *= np.exp(BY_MODEL * random.standard_normal((2, len(CHANNELS))))
    envelope = np.ones((windows, 1, 1))
    if kind == "resting":
        still = int(windows * random.uniform(*RESTING))
        first = random.integers(windows - still + 1)
        envelope[first : first + still] = STILL
    elif kind == "heavy tails":
        bursts = _process(windows, LIKENESS[HORIZONS[-1]], (2, 1), random)
        envelope = np.exp(BURSTS * bursts)
    found = dict[int, Floats]()
    for steps in HORIZONS:
        alike = DRIFT if kind == "drifting" else LIKENESS[steps]
        both = _process(windows, alike, (1, len(CHANNELS)), random)
        own = _process(windows, alike, (2, len(CHANNELS)), random)
        mixed = math.sqrt(SHARED) * both + math.sqrt(1.0 - SHARED) * own
        found[steps] = ERROR[steps] * amplitude * envelope * mixed
    return found


def _process(
    windows: int, alike: float, shape: tuple[int, int], random: np.random.Generator
) -> Floats:
    """Return a stationary AR(1) process of unit variance, (W, *shape)."""
    noise = random.standard_normal((windows, *shape))
    noise[1:] *= math.sqrt(1.0 - alike**2)
    return np.asarray(lfilter([1.0], [1.0, -alike], noise, axis=0))


def _drawn(found: dict[int, Floats], whole: Floats, size: Size, which: int) -> Drawn:
    rows = size.windows * STRIDE
    place = np.arange(size.episodes * size.windows, dtype=np.int64)
    own = {steps: errors[:, which] for steps, errors in found.items()}
    rmse = np.sqrt((own[HORIZONS[-1]] ** 2).mean(axis=0))
    scale = Scale(np.ones(len(CHANNELS)), np.zeros(len(CHANNELS)))
    episodes = tuple(
        PackedEpisode(str(k), str(k), str(k), "test", k * rows, (k + 1) * rows)
        for k in range(size.episodes)
    )
    errors = Errors(
        channels=CHANNELS,
        units=("m", "m/s"),
        dt=0.02,
        starts=place * STRIDE,
        history=1,
        stride=STRIDE,
        by_horizon=own,
        by_step=np.tile(rmse, (HORIZONS[-1], 1)),
        mae_by_step=np.tile(rmse, (HORIZONS[-1], 1)),
        scale=scale,
        episode=place // size.windows,
    )
    steps = np.full(size.episodes, float(rows))
    return Drawn(errors, FreeRun(episodes, steps, whole[:, which], CHANNELS, scale))


def scaled(found: Comparison, factor: float, margin: float = MARGIN) -> Comparison:
    """Return the comparison of a model whose errors are `factor` times as large.

    Exact as long as no error is below the sensor resolution: the logarithm of the ratio moves by
    that of the factor, and its standard error stays.
    """
    freedom = found.effective_n - 1.0
    half = math.log(found.high / found.ratio)
    error = half / float(stdtrit(freedom, CONFIDENCE))
    beyond = math.log(found.ratio * factor) - math.log1p(margin)
    p_worse = float(stdtr(freedom, -beyond / error)) if error > 0.0 else float(beyond <= 0.0)
    return replace(
        found,
        error=found.error * factor,
        ratio=found.ratio * factor,
        low=found.low * factor,
        high=found.high * factor,
        p_worse=p_worse,
    )


def scale_all(
    found: Comparisons, factor: float, worse: Sequence[tuple[str, str, float]] = ()
) -> Comparisons:
    """Return comparisons of a model whose errors are `factor` times as large at all horizons.

    Args:
        found: of two equal models.
        factor: of its errors.
        worse: where it is another factor: horizon, channel, factor.
    """
    apart = {(horizon, channel): other for horizon, channel, other in worse}
    return {
        horizon: {
            channel: scaled(one, apart.get((horizon, channel), factor))
            for channel, one in by_channel.items()
        }
        for horizon, by_channel in found.items()
    }
