"""The mirror image of what a tracking policy observes, and of its corrections.

Symbols: J joints.
"""

import numpy as np

from kinemill.augment.mirror import Mirror
from kinemill.errors import BadInput
from kinemill.policies.environments.legged.body import columns
from kinemill.policies.rl.mirror_image import MirrorImage, Reflection
from kinemill.runtime.policy_layout import PolicyLayout

_ATTITUDE = (-1, 1, -1, 1)
_UP = (1, -1, 1)  # a quaternion x, y, z, w; a direction
_TURN = (-1, 1, -1)
_COMMAND = (1, -1, -1)  # rates about x, y, z; velocities x, y, yaw
_PHASE = (-1, -1)  # cosine and sine: the image of a gait is half a cycle later
_PRIVILEGED = (*_COMMAND, *_COMMAND, *[1] * 7)


def mirror_inputs(mirror: Mirror, layout: PolicyLayout, *, privileged: bool) -> MirrorImage:
    """Return the mirror image of the inputs of the network and of the corrections.

    With `privileged`, the inputs end with the columns that only a critic sees.

    Raises:
        BadInput: Trunk and command are not mirrored left to right, or a joint has no partner.
    """
    names = layout.observation
    order, signs = mirror.image_of(names)
    joints, rates, command = columns(len(layout.actions))
    expected = np.ones(len(names), np.float32)
    expected[:7], expected[command] = (*_ATTITUDE, *_TURN), _COMMAND
    expected_columns = np.r_[:7, command]
    if not (
        np.array_equal(order[expected_columns], expected_columns)
        and np.array_equal(signs[expected_columns], expected[expected_columns])
    ):
        flipped = [names[column] for column in expected_columns if expected[column] < 0.0]
        raise BadInput(
            "augment: mirror",
            "does not reflect trunk and command left to right",
            expected=f"of them, only {', '.join(flipped)} in flip, and none in swap",
        )
    angles = Reflection(order[joints] - joints.start, signs[joints])
    corrections = Reflection(*mirror.image_of(layout.actions))
    parts = [
        _in_place(_UP),
        _in_place(_TURN),
        angles,
        Reflection(order[rates] - rates.start, signs[rates]),
        _in_place(_COMMAND),
        _in_place(_PHASE),
        corrections,
        angles,
        *([_in_place(_PRIVILEGED)] if privileged else []),
    ]
    return MirrorImage(Reflection.of_parts(parts), corrections)


def _in_place(signs: tuple[int, ...]) -> Reflection:
    return Reflection(np.arange(len(signs)), np.array(signs, np.float32))
