"""Check that training clips are periodic, and name the clips that are not.

Symbols: n rows, J joints.
"""

from collections.abc import Mapping
from fnmatch import fnmatch

import numpy as np

from kinemill.errors import BadInput, join_first
from kinemill.policies.motion.cycles import STILL, Floats, cycle_of
from kinemill.policies.motion.settings import MotionSettings
from kinemill.task.document import Task

_NAMED = 8  # clips that a message names
_FIX = "set learn.cycle, s, or leave clips out with learn.motions or dataset.unused"
_TRACK = (
    "; acyclic motions are tracked in physics: environment: {type: legged, "
    "robot: FILE, clips: [FILES]}"
)


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
