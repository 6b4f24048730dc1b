"""Policy: from observations to actions, with its own memory and action queue.

    policy = kinemill.runtime.load("models:/reach@champion")   # or a folder
    policy.reset(seed=0)                                       # at the start of each episode
    action = policy.act(observation)                           # (A,), in the robot's units

Symbols: B batch, D numbers observed, A actions, M choices.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinemill.errors import BadInput
from kinemill.runtime.agents import Turns, choices_of
from kinemill.runtime.input_checks import Array, Axis, as_input
from kinemill.runtime.interface import described, safe_action
from kinemill.runtime.native_spaces import decode, fits
from kinemill.runtime.observations import Inputs, ObservationReader
from kinemill.runtime.policy_interface import ACTION, PolicyInterface
from kinemill.runtime.policy_layout import SEED
from kinemill.runtime.session import Execution, open_session

_MASK64 = 2**64 - 1
_SEEDS = 2**31 - 1


class PolicyEngine(Protocol):
    """Function of one step: inputs and carry by name -> action and next carry."""

    def __call__(self, feed: Inputs) -> list[Array]:
        """Return (B, A), then each carry (B, ...)."""
        ...


class OnnxEngine:
    """ONNX Runtime engine of a policy; it can be pickled.

    Args:
        where: source of the file, for messages.
        model: bytes of the file.
        execution: threads and provider of ONNX Runtime.
    """

    def __init__(self, where: Path, model: bytes, execution: Execution) -> None:
        self._arguments = (where, model, execution)
        self._session = open_session(where, model, execution)
        self._names = [item.name for item in self._session.get_outputs()]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the arguments: a session cannot be pickled."""
        return OnnxEngine, self._arguments

    def __call__(self, feed: Inputs) -> list[Array]:
        """Return the action (B, A), then each part of the next carry (B, ...)."""
        return self._session.run(self._names, feed)

    @property
    def properties(self) -> dict[str, str]:
        """Metadata of the file."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def inputs(self) -> list[str]:
        """Names of its inputs, in order."""
        return [item.name for item in self._session.get_inputs()]


class Policy:
    """A policy in the robot's units; made by `load`.

    Args:
        interface: inputs and outputs.
        engine: computes a step.
        finite: reject NaN and infinity in observations.
        bounded: reject values beyond the limits of their channel.
        safe: declared safe values by action, see `safe_action`.
        servos: servo gains by action, see `servos`.
    """

    def __init__(
        self,
        interface: PolicyInterface,
        engine: PolicyEngine,
        *,
        finite: bool = True,
        bounded: bool = False,
        safe: Mapping[str, float] | None = None,
        servos: Mapping[str, dict[str, float | None]] | None = None,
    ) -> None:
        self.interface = interface
        self._engine = engine
        self._finite = finite
        self._safe, self._servos = dict(safe or {}), dict(servos or {})
        self._lock = Lock()  # `act` and `reset` may be called by different threads
        self._observations = ObservationReader(interface, finite=finite, bounded=bounded)
        self.reset()

    def __getstate__(self) -> dict[str, object]:
        """Return the state without the lock, which cannot be pickled."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        """Restore the state with a new lock."""
        self.__dict__.update(state)
        self._lock = Lock()

    @classmethod
    def open(
        cls, where: Path, model: bytes, *, execution: Execution, finite: bool, bounded: bool
    ) -> "Policy":
        """Open the bytes of `policy.onnx`.

        Raises:
            BadInput: The bytes are not a policy of kinemill.
        """
        engine = OnnxEngine(where, model, execution)
        interface = PolicyInterface.from_metadata(where, engine.properties)
        expected = [*interface.layout.inputs, *(item.name for item in interface.carry)]
        if engine.inputs != expected:
            raise BadInput(where, f"its inputs are {engine.inputs}", expected=f"{expected}")
        safe, servos = (
            json.loads(engine.properties.get(name, "{}")) for name in ("safe_action", "servos")
        )
        return cls(interface, engine, finite=finite, bounded=bounded, safe=safe, servos=servos)

    def __repr__(self) -> str:
        return (
            f"Policy of {self.interface.task}, {1.0 / self.dt:g} Hz"
            f"\n  observations: {described(self.observation, self.units)}"
            f"\n  actions: {described(self.actions, self.units)}"
        )

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
        """Lowest and highest value by name, in `units`; 0 and n - 1 for an action of n choices."""
        return self.interface.limits

    @property
    def dt(self) -> float:
        """Time from one `act` to the next, s."""
        return self.interface.dt

    @property
    def safe_action(self) -> Array:
        """Safe action (A,) in `units`: declared values, else the one within limits closest to 0."""
        values = safe_action(self.actions, self.limits, self._safe)
        return np.array(list(values.values()), np.float32)

    @property
    def servos(self) -> dict[str, dict[str, float | None]]:
        """`kp`, `kv` and `limit` of the position servo that each action commands.

        N·m/rad, N·m·s/rad and N·m (None: unlimited); empty where actions command no servos. With
        other gains on the robot, its motion differs from that of the training.
        """
        return self._servos

    def reset(self, seed: int = 0) -> None:
        """Start an episode with empty memory; random numbers follow from `seed`."""
        with self._lock:
            self._seed = seed
            self._step = 0
            self._carry = self.initial_carry(1)

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of the agents that act in turns; empty for a policy of a single agent."""
        return tuple(agent.name for agent in self.interface.layout.agents)

    def act(
        self, observation: object, mask: ArrayLike | None = None, *, agent: str | None = None
    ) -> NDArray[np.generic] | int:
        """Return the action to send now; call this once every `dt`.

        Args:
            observation: numbers (D,) in the order of `observation`, or a mapping by name of input
                or of observed number. Images are uint8 (H, W, C); a text may be a str. An
                observation of the training environment, such as a choice or a nested dict, is
                converted.
            mask: allowed choices (M,), 1 or True each.
            agent: the acting one of `agents`. Observation, mask and action are in its spaces.

        Returns:
            (A,) float32 in the units of `units`; (A,) int64 if all actions are discrete, or an int
            for a single one. The array is a copy. `act_native` returns the action in the space of
            the environment.

        Raises:
            BadInput: The observation or mask is invalid, the agent is unknown or missing, or the
                action is not finite. The memory of the policy is then unchanged.
        """
        with self._lock:
            if agent is not None:
                observation = self._observations.turn(agent, observation, mask)
                mask = None
            elif any(
                fits(entry.observation, observation) for entry in self.interface.layout.agents
            ):
                raise BadInput("agent", "is missing", expected=f"one of {', '.join(self.agents)}")
            inputs = self._observations.read_single(
                observation, mask, step_seed(self._seed, self._step)
            )
            action, carry = self._run(inputs, self._carry)
            is_finite = bool(np.isfinite(action).all())
            if is_finite:  # NaN in the carry would stay there for the rest of the episode
                self._carry = carry
                self._step = self._step + 1
        if not is_finite and (self._finite or self.interface.discrete):
            raise BadInput(ACTION, f"is {action[0]}", expected="finite values")
        values = action[0].copy()
        choices = self.interface.choices
        if agent is not None and (turns := self._observations.turns) is not None:
            values = turns.agent_values(agent, values)
            choices = choices_of(turns.agent(agent).action)
        if not all(choices):
            return values
        indices = np.rint(values).astype(np.int64)
        return int(indices[0]) if len(indices) == 1 else indices

    def act_native(
        self, observation: object, mask: ArrayLike | None = None, *, agent: str | None = None
    ) -> object:
        """Return the action in the space of the environment, such as a dict of matrices.

        `env.step` of the unwrapped Gymnasium environment accepts it. Arguments are those of `act`.

        Raises:
            BadInput: As in `act`.
        """
        action = self.act(observation, mask, agent=agent)
        layout = self.interface.layout
        if agent is not None:
            return decode(Turns(layout.agents).agent(agent).action, action)
        return action if layout.native.action is None else decode(layout.native.action, action)

    def step(
        self, inputs: Mapping[str, ArrayLike], carry: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Compute one step of a batch with an explicit carry.

        Args:
            inputs: by name, each (B, ...), see `interface.shapes()`; `action_mask` is optional.
            carry: from `initial_carry` or the previous step.

        Returns:
            The actions (B, A), discrete ones as integers, and the next carry.

        Raises:
            BadInput: An input has an invalid shape, type or value.
        """
        if len(carry) != len(self.interface.carry):
            expected = ", ".join(item.name for item in self.interface.carry) or "none"
            raise BadInput(
                "carry", f"{len(carry)} given", expected=expected, fix="see initial_carry"
            )
        made = self._observations.many(inputs)
        batch = Axis("batch", len(next(iter(made.values()))))
        carried = list[Array]()
        for item, part in zip(self.interface.carry, carry, strict=True):
            axes = [Axis(f"axis {index + 1}", size) for index, size in enumerate(item.shape)]
            carried.append(as_input(item.name, part, [batch, *axes], finite=False))
        return self._run(made, tuple(carried))

    def _run(self, inputs: Inputs, carry: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        feed = dict(inputs)
        for item, part in zip(self.interface.carry, carry, strict=True):
            feed[item.name] = part
        action, *after = self._engine(feed)
        return action, tuple(after)

    def initial_carry(self, batch: int) -> tuple[Array, ...]:
        """Return the carry before the first step: zeros (B, ...) for each part."""
        shapes = [item.shape for item in self.interface.carry]
        return tuple(np.zeros((batch, *shape), dtype=np.float32) for shape in shapes)

    def as_measured(self, observation: object) -> object:
        """Return a checked copy of an observation by name of input; NaN passes.

        Raises:
            BadInput: As in `act`.
        """
        lenient = ObservationReader(self.interface, finite=False, bounded=False)
        made = lenient.read_single(observation, None, 0)
        return {name: part[0].copy() for name, part in made.items() if name != SEED}


def step_seed(seed: int, step: int) -> int:
    """Return the seed of one step of an episode, below 2**31.

    SplitMix64 (Steele, Lea, Flood, 2014) of both numbers decorrelates neighboring episodes and
    steps.
    """
    mixed = _split(_split(seed & _MASK64) ^ step)
    return mixed & _SEEDS


def _split(value: int) -> int:
    # Masked to 64 bits, because integers of Python do not overflow.
    value = (value + 0x9E3779B97F4A7C15) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)
