"""Observations of a robot or environment, checked and converted to the tensors of a policy.

Symbols: B batch, D numbers observed, A actions, M choices.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinemill.errors import BadInput
from kinemill.runtime.agents import Turns
from kinemill.runtime.initial_state import channel_index
from kinemill.runtime.input_checks import Array, Axis, as_input, axis_of, same_batch, to_array
from kinemill.runtime.native_spaces import encode, fits
from kinemill.runtime.policy_interface import PolicyInterface
from kinemill.runtime.policy_layout import MASK, OBSERVATION, SEED

Inputs = dict[str, NDArray[Any]]
_BATCH = Axis("batch")


class ObservationReader:
    """Reader of the observations of one policy.

    Args:
        interface: interface of the policy.
        finite: reject NaN and infinity.
        bounded: reject values beyond the limits of their channel.
    """

    def __init__(self, interface: PolicyInterface, *, finite: bool, bounded: bool) -> None:
        self._layout, self._shapes = interface.layout, interface.shapes()
        self._choices_of = interface.choices
        self._finite = finite
        names = self._layout.observation
        limits = self._layout.limits if bounded else {}
        self._numbers = axis_of("observed numbers", names, limits)
        self._choices = Axis("choices", self._layout.mask)
        self.turns = Turns(self._layout.agents) if self._layout.agents else None

    def read_single(self, observation: object, mask: ArrayLike | None, seed: int) -> Inputs:
        """Return the tensors of one observation, a batch of one.

        Args:
            observation: an observation of the policy's environment; or numbers (D,) in the order of
                the interface, or a mapping by name of input or of observed number. Unknown names
                are ignored.
            mask: allowed choices (M,); None: the mask of the observation, else all.
            seed: seed of this step.

        Raises:
            BadInput: A value is missing, or has an invalid shape, type or value.
        """
        native = self._layout.native
        if native.observation is not None and fits(native.observation, observation):
            values = encode(native.observation, native.keys, observation)
        else:
            values = observation if isinstance(observation, Mapping) else self._only(observation)
        made: Inputs = {}
        for name in self._layout.inputs:
            if name == OBSERVATION:
                made[name] = self._observed(values)
            elif name == MASK:
                made[name] = self._allowed(values.get(MASK) if mask is None else mask)
            elif name == SEED:
                made[name] = np.array([[seed]], dtype=np.int64)
            else:
                made[name] = self._medium(name, values)[None]
        if mask is not None and not self._layout.mask:
            raise BadInput(MASK, "was given", expected="none: this policy has no action mask")
        return made

    def many(self, inputs: Mapping[str, ArrayLike]) -> Inputs:
        """Return the tensors of a batch by name of input: (B, D), (B, M), images (B, H, W, C).

        Without a mask, all choices are allowed.

        Raises:
            BadInput: As in `read_single`, or batch sizes differ.
        """
        made: Inputs = {}
        for name, (shape, kind) in self._shapes.items():
            if name not in inputs and name != MASK:
                raise self._lacking(name, inputs)
            if name == OBSERVATION:
                axes = [_BATCH, self._numbers]
                made[name] = as_input(name, inputs[name], axes, finite=self._finite)
            elif name == MASK:
                continue
            else:
                made[name] = _whole(name, inputs[name], shape, kind)
        batch = len(next(iter(made.values()))) if made else 1
        if self._layout.mask:
            rows = inputs.get(MASK)
            rows = np.ones((batch, self._layout.mask)) if rows is None else rows
            made[MASK] = self._allowed_rows(rows)
        same_batch(**made)
        return {name: made[name] for name in self._layout.inputs}

    def turn(
        self, agent: str, observation: object, mask: ArrayLike | None
    ) -> dict[str, NDArray[np.generic]]:
        """Return the observation of one agent as the policy gets it: (D,), and a mask (M,).

        Args:
            agent: name of the acting agent.
            observation: observation in the space of this agent.
            mask: allowed choices of this agent; None: those of its observation, else all.

        Raises:
            BadInput: The policy has no such agent, the observation is of another space, or the mask
                has another size.
        """
        if self.turns is None:
            raise BadInput("agent", f"is {agent!r}", expected="none: this policy has no agents")
        space = self.turns.agent(agent).observation
        if not fits(space, observation):
            where = f"observation of {agent}"
            problem = f"is {type(observation).__name__}"
            raise BadInput(where, problem, expected=f"a value of {space.summary}")
        return self.turns.encode(agent, observation, mask)

    def _only(self, observation: object) -> dict[str, object]:
        """Return an observation that is not a mapping as the only input of the policy."""
        inputs = [name for name in self._layout.inputs if name not in (MASK, SEED)]
        if len(inputs) != 1:
            expected = f"a mapping with {', '.join(inputs)}"
            raise BadInput("observation", f"is one {type(observation).__name__}", expected=expected)
        return {inputs[0]: observation}

    def _observed(self, values: Mapping[str, Any]) -> Array:
        names = self._layout.observation
        if OBSERVATION in values:
            numbers = values[OBSERVATION]
        else:
            missing = [name for name in names if name not in values]
            if missing:
                channel_index("observed number", missing[0], tuple(values))  # raises
            numbers = [values[name] for name in names]
        return as_input(OBSERVATION, numbers, [self._numbers], finite=self._finite)[None]

    def _allowed(self, mask: object) -> Array:
        choices = np.ones(self._layout.mask) if mask is None else mask
        return self._allowed_rows(to_array(MASK, choices)[None])

    def _allowed_rows(self, mask: object) -> Array:
        """Return masks (B, M); each action of each row needs an allowed choice."""
        rows = to_array(MASK, mask)
        rows = rows.astype(np.float32) if rows.dtype == bool else rows
        allowed = as_input(MASK, rows, [_BATCH, self._choices], finite=self._finite)
        start = 0
        for name, count in zip(self._layout.actions, self._choices_of, strict=True):
            if count and bool((allowed[:, start : start + count] == 0.0).all(axis=1).any()):
                raise BadInput(
                    MASK, f"forbids all {count} choices of {name}", expected="one or more"
                )
            start += count
        return allowed

    def _medium(self, name: str, values: Mapping[str, object]) -> NDArray[np.uint8]:
        if name not in values:
            raise self._lacking(name, values)
        value = values[name]
        if name in self._layout.texts and isinstance(value, str):
            size = self._layout.texts[name]
            value = np.frombuffer(value.encode()[:size].ljust(size, b"\0"), dtype=np.uint8)
        shape, kind = self._shapes[name]
        return _whole(name, to_array(name, value)[None], shape, kind)[0]

    def _lacking(self, name: str, values: Mapping[str, object]) -> BadInput:
        expected = ", ".join(self._layout.inputs)
        return BadInput(name, f"is not among {', '.join(values) or 'nothing'}", expected=expected)


def _whole(name: str, value: object, shape: tuple[int, ...], kind: str) -> NDArray[np.integer]:
    """Return integers (B, ...) as `kind`; images within 0 to 1 are rejected, not rounded to 0."""
    array = to_array(name, value)
    if array.dtype.kind not in "iu":
        fix = "images are uint8, 0 to 255" if len(shape) == 3 else None
        raise BadInput(name, f"holds {array.dtype}", expected=kind, fix=fix)
    if array.shape[1:] != shape or not len(array):
        expected = ", ".join(str(size) for size in shape)
        raise BadInput(name, f"has shape {array.shape}", expected=f"(batch, {expected})")
    low = np.iinfo(kind).min
    high = np.iinfo(kind).max
    if array.dtype != kind and bool(((array < low) | (array > high)).any()):
        raise BadInput(name, f"holds values beyond {kind}", expected=f"{low} to {high}")
    return np.ascontiguousarray(array, dtype=kind)
