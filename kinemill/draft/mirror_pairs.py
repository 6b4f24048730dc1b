"""Mirror pairs of a motion draft: left and right joints, and which signs a mirror image changes.

Pairs follow from names. The sign follows from the clips: half a cycle later, the right leg of a
gait moves as the left one did, with the same or the opposite sign. In a curve, joints that turn
about the vertical (`yaw`) move both legs the same way, so theirs is the sign that fits a linear
model of the joint over the command, whose image has the opposite lateral parts. Of joints at rest,
stated limits give the sign if those of one side are the opposite of the other's.

Symbols: n rows and P rows of a cycle, E clips, M numbers of a command, F terms of a Fourier series.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinemill.draft.constants import MIRROR_CLEAR, MIRROR_HARMONICS, MIRROR_RIDGE, MIRROR_ROUNDED
from kinemill.draft.robot_file import Ends
from kinemill.errors import BadInput
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import split_words
from kinemill.policies.motion.cycles import STILL, cycle_of, fourier
from kinemill.policies.motion.gaits import fit_gaits

_LEFT_WORD = re.compile(r"left|(?<![a-z0-9])l(?![a-z0-9])", re.IGNORECASE)
LATERAL = {"yaw", "roll"}  # of a joint in the plane, whose sign a mirror image changes
TURNING = "yaw"


@dataclass(frozen=True)
class Mirror:
    """The mirror image of a robot.

    Attributes:
        pairs: left and right joint of each pair.
        flipped: joints that change their sign.
        unclear: joints whose sign the clips do not show.
    """

    pairs: list[tuple[str, str]]
    flipped: list[str]
    unclear: list[str]


def find_mirror(
    joints: list[str], clips: Sequence[Floats], commands: Floats, limits: Mapping[str, Ends | None]
) -> Mirror:
    """Find the pairs and signs of a mirror image.

    Args:
        joints: names of J joints.
        clips: joint angles (n, J) of each clip, rad.
        commands: mean forward, lateral and turning velocity of each clip, (E, 3), or (E, 0).
        limits: stated limits of joints, rad, which give the signs that clips do not show.
    """
    pairs = [
        (joint, mirrored) for joint in joints if (mirrored := partner(joint)) in joints and mirrored
    ]
    paired = {name for pair in pairs for name in pair}
    flipped = [
        joint for joint in joints if joint not in paired and LATERAL & set(split_words(joint))
    ]
    unclear = list[str]()
    # In a gait, a leg moves as its partner did half a cycle earlier.
    half = round(cycle(clips) / 2.0)
    series = _command_series(clips, commands)
    for joint, mirrored in pairs:
        column = joints.index(joint)
        mirror_column = joints.index(mirrored)
        is_turning = TURNING in split_words(joint)
        if not is_turning:
            ratio = _shift_ratio(clips, column, mirror_column, half)
        elif series is None:
            ratio = 1.0
        else:
            ratio = _command_ratio(series[:, :, column], series[:, :, mirror_column])
        by_limits = _opposite_limits(limits.get(joint), limits.get(mirrored))
        if not 1.0 / MIRROR_CLEAR < ratio < MIRROR_CLEAR:
            is_flipped = ratio > 1.0
        elif by_limits is not None:
            is_flipped = by_limits
        else:
            unclear += [joint, mirrored]
            is_flipped = is_turning
        flipped += [joint, mirrored] if is_flipped else []
    return Mirror(pairs, [name for name in joints if name in flipped], unclear)


def _opposite_limits(first: Ends | None, second: Ends | None) -> bool | None:
    """Return whether the limits of a pair are opposite; None if neither is clear."""
    if first is None or second is None:
        return None
    same = bool(np.allclose(first, second, rtol=0.0, atol=MIRROR_ROUNDED))
    opposite = bool(np.allclose(first, (-second[1], -second[0]), rtol=0.0, atol=MIRROR_ROUNDED))
    return opposite if same != opposite else None


def partner(joint: str) -> str | None:
    """Return the name of the right joint of a left one; None for others."""
    match = _LEFT_WORD.search(joint)
    if match is None or split_words(joint).count(match[0].lower()) != 1:
        return None
    right = "right" if len(match[0]) > 1 else "r"
    right = right.capitalize() if match[0][0].isupper() else right
    return joint[: match.start()] + right + joint[match.end() :]


def _command_ratio(first: Floats, second: Floats) -> float:
    """Return the misfit of the same sign over that of the opposite one, over all commands.

    Of a command's image, lateral and turning velocity are opposite, and half a cycle changes the
    sign of odd harmonics.
    """
    odd = np.concatenate([[1.0], np.repeat((-1.0) ** np.arange(1, MIRROR_HARMONICS + 1), 2)])
    image = np.array([1.0, 1.0, -1.0, -1.0])[:, None] * odd[: first.shape[1]] * second
    same = np.sum((first - image) ** 2)
    opposite = np.sum((first + image) ** 2)
    return float(same / max(opposite, 1e-12))


def _shift_ratio(clips: Sequence[Floats], column: int, mirror_column: int, half: int) -> float:
    """Return the misfit of the same sign over that of the opposite one, `half` a cycle later."""
    same = opposite = 1e-9  # joints at rest at 0 have either sign
    for clip in clips:
        first = clip[: len(clip) - half, column]
        second = clip[half:, mirror_column]
        same += float(np.sum((first - second) ** 2))
        opposite += float(np.sum((first + second) ** 2))
    return same / opposite


def cycle(clips: Sequence[Floats]) -> float:
    """Return the rows of a cycle of clips (n, J), see `cycle_of`; 0 if they are not periodic.

    Without a cycle, `find_mirror` compares rows of the same moment.
    """
    try:
        return cycle_of([clip[:, clip.std(axis=0) > STILL] for clip in clips])
    except BadInput:
        return 0.0


def _command_series(clips: Sequence[Floats], commands: Floats) -> Floats | None:
    """Return the Fourier series of the joints for a command of 0 and per command, (4, F, J)."""
    if commands.shape[1] != 3 or len(clips) < 2:
        return None
    scale = np.maximum(np.abs(commands).max(axis=0), 1e-6)
    try:
        gaits = fit_gaits(clips, list(commands / scale), MIRROR_HARMONICS, MIRROR_HARMONICS)
    except BadInput:
        return None
    orders = max(1, min(MIRROR_HARMONICS, int(0.45 * gaits.cycle)))
    series = [
        np.linalg.lstsq(
            fourier(first + 2.0 * np.pi * np.arange(len(clip)) / gaits.cycle, orders),
            clip,
            rcond=None,
        )[0]
        for clip, first in zip(clips, gaits.phases, strict=True)
    ]
    inputs = np.column_stack([np.ones(len(clips)), commands / scale])
    weights = np.diag([1e-6, MIRROR_RIDGE, MIRROR_RIDGE, MIRROR_RIDGE])
    solved = np.linalg.solve(inputs.T @ inputs + weights, inputs.T)
    return np.einsum("ae,efj->afj", solved, np.stack(series))
