"""A policy: what was observed in, the action to send out; memory and queue inside.

    policy = kinemill.runtime.load("models:/reach@champion")   # or a folder
    policy.reset(seed=0)                                       # at the start of every episode
    action = policy.act(observation)                           # (A,), in the robot's units

Symbols: B batch, D numbers observed, A actions, M choices.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array, Axis, as_input
from kinemill.runtime.interface import Carry, safe_values
from kinemill.runtime.observations import Inputs, ObservationReader
from kinemill.runtime.policy_interface import ACTION, PolicyInterface
from kinemill.runtime.policy_layout import SEED
from kinemill.runtime.session import open_session

_MASK64, _SEEDS = 2**64 - 1, 2**31 - 1


class PolicyEngine(Protocol):
    """Works one step out: inputs and carry by name in, the action and the next carry out."""

    def __call__(self, feed: Inputs) -> list[Array]:
        """Return (B, A), then each carry (B, ...)."""
        ...


class OnnxEngine:
    """The file of a policy in ONNX Runtime; it can be handed to another process.

    Args:
        where: where it came from, for messages.
        model: its bytes.
        threads: of ONNX Runtime.
    """

    def __init__(self, where: Path, model: bytes, threads: int) -> None:
        self._arguments = (where, model, threads)
        self._session = open_session(where, model, threads)
        self._names = [item.name for item in self._session.get_outputs()]

    def __reduce__(self) -> tuple[Any, ...]:
        """Open it anew over there: a session cannot travel."""
        return OnnxEngine, self._arguments

    def __call__(self, feed: Inputs) -> list[Array]:
        """Return the action and the next carry."""
        return self._session.run(self._names, feed)

    @property
    def properties(self) -> dict[str, str]:
        """What the file says about itself."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def inputs(self) -> list[str]:
        """Names of its inputs, in order."""
        return [item.name for item in self._session.get_inputs()]


class Policy:
    """A policy in the robot's units; made by `load`.

    Args:
        interface: what it sees and gives.
        running: works a step out.
        finite: refuse NaN and infinity in what was observed.
        bounded: refuse what is beyond the limits of its channel.
        safe: what is sent when nothing better is known, by action; others: see `safe_action`.
    """

    def __init__(
        self,
        interface: PolicyInterface,
        engine: PolicyEngine,
        *,
        finite: bool = True,
        bounded: bool = False,
        safe: Mapping[str, float] | None = None,
    ) -> None:
        self.interface, self._engine, self._finite = interface, engine, finite
        self._safe = dict(safe or {})
        self._lock = Lock()  # `act` and `reset` may be called by different threads
        self._observations = ObservationReader(interface, finite=finite, bounded=bounded)
        self.reset()

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the lock, which cannot travel to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on where the original was."""
        self.__dict__.update(state)
        self._lock = Lock()

    @classmethod
    def open(
        cls, where: Path, model: bytes, *, threads: int, finite: bool, bounded: bool
    ) -> "Policy":
        """Open the bytes of `policy.onnx`.

        Raises:
            BadInput: they are no policy of kinemill.
        """
        engine = OnnxEngine(where, model, threads)
        interface = PolicyInterface.from_metadata(where, engine.properties)
        expected = [*interface.layout.inputs, *(item.name for item in interface.carry)]
        if engine.inputs != expected:
            raise BadInput(where, f"its inputs are {engine.inputs}", expected=f"{expected}")
        safe = json.loads(engine.properties.get("safe_action", "{}"))
        return cls(interface, engine, finite=finite, bounded=bounded, safe=safe)

    @property
    def observation(self) -> tuple[str, ...]:
        """Names of the observed numbers, in order."""
        return self.interface.layout.observation

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions, in order."""
        return self.interface.layout.actions

    @property
    def units(self) -> dict[str, str]:
        """Unit by observed number and by action."""
        return self.interface.layout.units

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value, by name; of a choice the first and the last one."""
        return self.interface.limits

    @property
    def dt(self) -> float:
        """Time from one `act` to the next, s."""
        return self.interface.dt

    @property
    def safe_action(self) -> Array:
        """What to send when nothing better is known, (A,): as declared, else nearest to 0."""
        return safe_values(self._safe, self.actions, self.limits)

    def reset(self, seed: int = 0) -> None:
        """Begin an episode: nothing was observed yet, and draws begin anew from `seed`."""
        with self._lock:
            self._seed, self._step = seed, 0
            self._carry = self.initial_carry(1)

    def act(self, observation: Any, mask: ArrayLike | None = None) -> Any:
        """Return what to send now; to be called once in every `dt`.

        Args:
            observation: numbers (D,) in the order of `observation`, or a mapping with the inputs by
                name, or with each observed number by name. Pictures are uint8 (H, W, C); a text
                may be a str.
            mask: choices that are allowed (M,), 1 or True for each.

        Returns:
            (A,) float32 in the units of `units`; (A,) int64 if all are choices, and an int if that
            is one. It is the caller's own.

        Raises:
            BadInput: an observation that cannot be used; what was observed before stays known.
        """
        with self._lock:
            inputs = self._observations.one(observation, mask, step_seed(self._seed, self._step))
            action, carry = self._run(inputs, self._carry)
            is_finite = bool(np.isfinite(action).all())
            if is_finite:  # what is no number is not remembered: it would never be forgotten again
                self._carry, self._step = carry, self._step + 1
        if not is_finite and (self._finite or self.interface.discrete):
            raise BadInput(ACTION, f"is {action[0]}", expected="what can be sent to a robot")
        if not self.interface.discrete:
            return action[0].copy()
        choices = np.rint(action[0]).astype(np.int64)
        return int(choices[0]) if len(choices) == 1 else choices

    def step(
        self, inputs: Mapping[str, ArrayLike], carry: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Work one step of a batch out, without any memory of its own.

        Args:
            inputs: by name, each (B, ...): see `interface.shapes()`; `action_mask` may be left out.
            carry: from `initial_carry`, or from the step before.

        Returns:
            The actions (B, A), choices as whole numbers, and the carry for the step after.

        Raises:
            BadInput: a shape, a kind of number, or a value that cannot be used.
        """
        if len(carry) != len(self.interface.carry):
            expected = ", ".join(item.name for item in self.interface.carry) or "none"
            raise BadInput(
                "carry", f"{len(carry)} given", expected=expected, fix="see initial_carry"
            )
        made = self._observations.many(inputs)
        batch = Axis("batch", len(next(iter(made.values()))))
        carried = tuple(
            as_input(item.name, part, [batch, *_axes(item)], finite=False)
            for item, part in zip(self.interface.carry, carry, strict=True)
        )
        return self._run(made, carried)

    def _run(self, inputs: Inputs, carry: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        feed = dict(inputs)
        for item, part in zip(self.interface.carry, carry, strict=True):
            feed[item.name] = part
        action, *after = self._engine(feed)
        return action, tuple(after)

    def initial_carry(self, batch: int) -> tuple[Array, ...]:
        """Return the carry before anything was observed: zeros."""
        shapes = [item.shape for item in self.interface.carry]
        return tuple(np.zeros((batch, *shape), dtype=np.float32) for shape in shapes)

    def as_measured(self, observation: Any) -> Any:
        """Check what was observed, as a watchdog does before it is needed; NaN passes.

        Returns:
            It, as the tensors of a batch of one.

        Raises:
            BadInput: as for `act`.
        """
        lenient = ObservationReader(self.interface, finite=False, bounded=False)
        made = lenient.one(observation, None, 0)
        return {name: part[0].copy() for name, part in made.items() if name != SEED}


def _axes(item: Carry) -> list[Axis]:
    return [Axis(f"axis {index + 1}", size) for index, size in enumerate(item.shape)]


def step_seed(seed: int, step: int) -> int:
    """Return what a policy draws from at one step of an episode: below 2**31, unlike any other's.

    Neighboring episodes and steps have nothing in common: SplitMix64 (Steele, Lea, Flood, 2014)
    of both.
    """
    mixed = _split(_split(seed & _MASK64) ^ step)
    return mixed & _SEEDS


def _split(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)
