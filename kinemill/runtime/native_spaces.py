"""Native spaces: observations and actions as an environment has them, and as a policy has them.

A policy gets one vector of numbers (D,), images (H, W, C) uint8 and a mask (M,), and returns one
vector (A,). A Gymnasium environment may observe and act in dicts, tuples, choices and matrices.
`NativeSpace` is the description of such a space in the metadata of a policy; training, evaluation
and `Policy.act` convert with the functions of this module.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput

OBSERVATION = "observation"
MASK = "action_mask"
IMAGE = "image"
_MOST_CHANNELS = 16  # of an image whose first axis is its channels

Array = NDArray[Any]


@dataclass(frozen=True)
class NativeSpace:
    """A space, or a part of one.

    Attributes:
        kind: `numbers`, `choices` (integers), `image`, `text` (uint8), `string`, `mask`, `dict`
            or `tuple`.
        shape: shape of a value; () for a single choice.
        dtype: type of a value.
        choices: number of choices of each integer, in C order.
        start: lowest value of each integer.
        keys: keys of a dict.
        parts: spaces of a dict, a tuple or a mask.
    """

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    choices: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    parts: tuple["NativeSpace", ...] = ()

    @property
    def size(self) -> int:
        """Length of the vector of a value: one per number, and one per option of a choice."""
        if self.parts:
            return sum(part.size for part in self.parts)
        return sum(self.choices) if self.kind == "choices" else int(np.prod(self.shape))

    @property
    def summary(self) -> str:
        """The structure in one line, such as `dict(observation: numbers (4,))`."""
        inside = [part.summary for part in self.parts]
        if self.keys:
            pairs = zip(self.keys, inside, strict=True)
            inside = [f"{key}: {part}" for key, part in pairs]
        return f"{self.kind}({', '.join(inside)})" if inside else f"{self.kind} {self.shape}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image as a policy gets it."""
        height, width, channels = _to_image(np.zeros(self.shape, np.uint8)).shape
        return height, width, channels


@dataclass(frozen=True)
class NativeSpaces:
    """Spaces of an environment that differ from those of its policy.

    Attributes:
        observation: space of the environment; None: as the policy gets it.
        keys: parts of the vector, in order.
        action: space of the environment; None: as the policy returns it.
    """

    observation: NativeSpace | None = None
    keys: tuple[str, ...] = ()
    action: NativeSpace | None = None


def named_parts(space: NativeSpace) -> dict[str, NativeSpace]:
    """Return the innermost parts of a space by name; names of nested parts are joined by `_`."""
    alone = IMAGE if space.kind == "image" else OBSERVATION
    return {name or alone: part for name, part, _ in _walk(space, None)}


def encode(space: NativeSpace, keys: tuple[str, ...], value: object) -> dict[str, Array]:
    """Return an observation as the policy gets it.

    Args:
        space: space of the observation.
        keys: names of the parts that form the vector, in order.
        value: observation of the environment.

    Returns:
        The vector (D,) float32, images (H, W, C), texts (L,) and the mask (M,) by name.

    Raises:
        BadInput: A choice is outside of its range.
    """
    alone = IMAGE if space.kind == "image" else OBSERVATION
    values = {name or alone: (part, content) for name, part, content in _walk(space, value)}
    made: dict[str, Array] = {}
    if keys:
        made[OBSERVATION] = np.concatenate([_vector(*values[name]) for name in keys])
    for name, (part, content) in values.items():
        if part.kind == "image":
            made[name] = _to_image(np.asarray(content))
        elif part.kind == "text":
            made[name] = np.asarray(content)
        elif part.kind == "mask":
            inner = part.parts[0]
            made[name] = np.concatenate(
                [_vector(inner_space, x) for _, inner_space, x in _walk(inner, content)]
            )
    return made


def decode(space: NativeSpace, action: object) -> object:
    """Return an action (A,) as the environment takes it; numbers of integer type are rounded.

    Raises:
        BadInput: The action has another number of values than the space.
    """
    values = np.asarray(action, dtype=np.float64).reshape(-1)
    if len(values) != action_count(space):
        raise BadInput("action", f"has {len(values)} values", expected=str(action_count(space)))
    return _in_space(space, values)


def action_count(space: NativeSpace) -> int:
    """Return the number of values of an action: one for each number and each choice."""
    if space.parts:
        return sum(action_count(part) for part in space.parts)
    return len(space.choices) if space.kind == "choices" else int(np.prod(space.shape))


def fits(space: NativeSpace, value: object) -> bool:
    """Return whether a value has the structure and shapes of a space."""
    if space.kind == "dict":
        pairs = zip(space.keys, space.parts, strict=True)
        return isinstance(value, Mapping) and all(
            key in value and fits(part, value[key]) for key, part in pairs
        )
    if space.kind == "tuple":
        return (
            isinstance(value, tuple)
            and len(value) == len(space.parts)
            and all(fits(part, item) for part, item in zip(space.parts, value, strict=True))
        )
    if space.kind == "string":
        return True
    if space.kind == "mask":
        return fits(space.parts[0], value)
    if isinstance(value, Mapping | str):
        return False
    return np.shape(np.asarray(value)) == space.shape


def _walk(
    space: NativeSpace, value: Any, prefix: str = ""
) -> Iterator[tuple[str, NativeSpace, object]]:
    """Yield name, space and value of each part without parts; a mask counts as one part."""
    if space.kind not in ("dict", "tuple"):
        yield prefix, space, value
        return
    keys = space.keys if space.kind == "dict" else range(len(space.parts))
    for key, part in zip(keys, space.parts, strict=True):
        name = f"{prefix}_{key}" if prefix else str(key)
        yield from _walk(part, None if value is None else value[key], name)


def _vector(space: NativeSpace, value: object) -> Array:
    """Return numbers as they are, and each choice as a one-hot vector."""
    if space.kind != "choices":
        return np.asarray(value, np.float32).reshape(-1)
    counts = np.asarray(space.choices, np.int64)
    indices = np.asarray(value, np.int64).reshape(-1) - np.asarray(space.start)
    if bool(((indices < 0) | (indices >= counts)).any()):
        raise BadInput("observation", f"is {value}", expected=f"choices from {space.start}")
    vector = np.zeros(int(counts.sum()), np.float32)
    vector[np.cumsum(counts) - counts + indices] = 1.0  # first column of each choice, plus value
    return vector


def _in_space(space: NativeSpace, values: Array) -> object:
    if space.kind in ("dict", "tuple"):
        counts = [action_count(part) for part in space.parts]
        shares = np.split(values, np.cumsum(counts)[:-1])
        parts = [_in_space(part, share) for part, share in zip(space.parts, shares, strict=True)]
        return dict(zip(space.keys, parts, strict=True)) if space.keys else tuple(parts)
    kind = np.dtype(space.dtype)
    if space.kind == "choices" or kind.kind in "iu":
        values = np.rint(values)
    if space.kind == "choices":
        values = values + np.asarray(space.start)
        if not space.shape:
            return int(values[0])
    return values.reshape(space.shape).astype(kind)


def _to_image(pixels: Array) -> Array:
    """Return pixels as (H, W, C): frames (N, ...) become channels, channels go last."""
    if pixels.ndim == 4:
        return np.concatenate([_to_image(frame) for frame in pixels], axis=-1)
    if pixels.ndim == 2:
        return pixels[..., None]
    # Environments disagree on the order, and the space does not state it; a small axis is colors.
    first = pixels.shape[0] < min(pixels.shape[1:]) and pixels.shape[0] <= _MOST_CHANNELS
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1)) if first else pixels
