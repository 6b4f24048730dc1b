"""Motions that go round, such as a gait: how long a cycle is, and where in it each row is.

Symbols: n rows, J joints, P rows of a cycle, K harmonics, F = 2 K + 1 terms, φ phase in rad.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput, join_first
from kinemill.policies.motion.settings import MotionSettings
from kinemill.task.document import Task

Floats = NDArray[np.floating]

STILL = 1e-4  # rad of standard deviation below which a joint takes no part
_FINER = 4  # rows between two rows in which the length of a cycle is looked for first
_AS_GOOD = 2.5  # a lag whose mismatch is below this many times the least one is a cycle, too
_SHORTEST = 6  # rows of a cycle: below, three harmonics do not fit
_NAMED = 8  # clips that a message names
_FIX = "set learn.cycle, s, or leave clips out with learn.motions or dataset.unused"
_TRACK = (
    "; acyclic motions are tracked in physics: environment: {type: legged, "
    "robot: FILE, clips: [FILES]}"
)


def fourier(phase: Floats, harmonics: int) -> Floats:
    """Return 1, cos φ, sin φ, cos 2φ, ... (..., F) of phases (...), rad."""
    orders = np.arange(1, harmonics + 1) * np.asarray(phase)[..., None]
    waves = np.stack([np.cos(orders), np.sin(orders)], axis=-1)
    ones = np.ones((*np.shape(phase), 1))
    return np.concatenate([ones, waves.reshape(*np.shape(phase), 2 * harmonics)], axis=-1)


def cycle_of(clips: Sequence[Floats]) -> float:
    """Return after how many rows clips (n, J) repeat themselves, to a hundredth of a row.

    The shortest lag that fits about as well as the best one, then what their series fit best.

    Raises:
        BadInput: they are not periodic, at rest, or too short.
    """
    from scipy.signal import argrelmin

    shortest = min(len(clip) for clip in clips)
    lags = np.arange(_FINER * _SHORTEST, _FINER * shortest // 2)
    if not len(lags) or any(clip.shape[1] == 0 for clip in clips):
        raise BadInput("the training clips", "are at rest, or too short for a cycle")
    misfit = np.mean([_misfit(clip, lags) for clip in clips], axis=0)
    lowest = argrelmin(misfit)[0]
    if not len(lowest) or misfit[lowest].min() > 0.5:
        raise BadInput(
            "the training clips",
            "are not periodic",
            expected="periodic motions, such as a gait",
            fix="set learn.cycle, s, or leave other clips out",
        )
    first = lowest[misfit[lowest] <= _AS_GOOD * misfit[lowest].min() + 0.02][0]
    rough = lags[first] / _FINER
    near = rough * np.linspace(0.97, 1.03, 121)
    orders = max(1, min(6, int(0.45 * rough)))
    residuals = [sum(_left_over(clip, cycle, orders) for clip in clips) for cycle in near]
    return float(near[int(np.argmin(residuals))])


def _misfit(clip: Floats, lags: NDArray[np.int64]) -> Floats:
    """Return how far (n, J) is from itself some quarters of a row later, over its own spread."""
    from scipy.interpolate import CubicSpline

    rows = np.arange(len(clip))
    fine = CubicSpline(rows, clip)(np.arange((len(clip) - 1) * _FINER + 1) / _FINER)
    deviation = np.abs(clip - clip.mean(axis=0)).mean()
    return np.array([np.abs(fine[lag:] - fine[:-lag]).mean() for lag in lags]) / deviation


def _left_over(clip: Floats, cycle: float, orders: int) -> float:
    terms = fourier(2.0 * np.pi * np.arange(len(clip)) / cycle, orders)
    return float(np.square(clip - terms @ np.linalg.lstsq(terms, clip, rcond=None)[0]).sum())


def check_cycles(
    learn: MotionSettings, task: Task, clips: Mapping[str, Mapping[str, object]]
) -> None:
    """Check that `kinemill.policies.motion.gaits.fit_gaits` can fit training clips.

    Raises:
        BadInput: No clip is selected, they have no common cycle, or one is too short.
    """
    where = f"{task.path or task.name}: dataset, train split"
    selected = [name for name in clips if any(fnmatch(name, pattern) for pattern in learn.motions)]
    if not selected:
        names = ", ".join(sorted(clips)[:_NAMED])
        raise BadInput(
            where,
            f"has no clip of {', '.join(learn.motions)}",
            expected=names or "clips",
            fix="change learn.motions",
        )
    joints = [learn.joints(task.channels)[name] for name in task.actions]
    angles = {
        name: np.stack([np.asarray(clips[name][joint], np.float64) for joint in joints], axis=1)
        for name in selected
    }
    std = np.sqrt(np.mean([clip.var(axis=0) for clip in angles.values()], axis=0))
    curves = {name: clip[:, std > STILL] for name, clip in angles.items()}
    try:
        cycle = learn.cycle / task.dt if learn.cycle else cycle_of(list(curves.values()))
    except BadInput as error:
        odd = {name: clip for name, clip in curves.items() if not _repeats(clip)} or curves
        raise BadInput(
            where,
            f"clips are not periodic, or shorter than two cycles: {_spell(odd)}",
            expected="motions that repeat themselves, such as a gait, for at least two cycles",
            fix=_FIX + _TRACK,
        ) from error
    short = {name: clip for name, clip in curves.items() if len(clip) < 2.0 * cycle}
    if short:
        raise BadInput(
            where,
            f"clips are shorter than two cycles: {_spell(short)}",
            expected=f"at least {2.0 * cycle:.0f} rows, two cycles of {cycle * task.dt:.3g} s",
            fix=_FIX,
        )


def _repeats(clip: Floats) -> bool:
    try:
        cycle_of([clip])
    except BadInput:
        return False
    return True


def _spell(clips: Mapping[str, Floats]) -> str:
    return join_first([f"{name} {len(clip)} rows" for name, clip in clips.items()], _NAMED)
