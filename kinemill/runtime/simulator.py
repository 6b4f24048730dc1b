"""A learned simulator: rollouts, single steps, and a history kept online.

Symbols: B batch, H history, T horizon, S states, A actions.
"""

import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kinemill.errors import BadInput
from kinemill.runtime.belief import deviation_of, members_of
from kinemill.runtime.checking import Array, Axis, as_input, same_batch
from kinemill.runtime.compiled import CompiledRollout, check_same
from kinemill.runtime.initial import hold, move
from kinemill.runtime.interface import Belief, Interface
from kinemill.runtime.session import open_session

_NEXT, _INPUTS = ["next_states"], ["states", "past_actions", "actions"]
_FLOAT = np.dtype(np.float32)


class Simulator:
    """A dynamics model behind ONNX Runtime, in the task's units; made by `load`.

    Args:
        where: where the model came from, for messages.
        rollout: bytes of `rollout.onnx`.
        step: bytes of `step.onnx`, or None if there is none.
        threads: of ONNX Runtime.
        finite: refuse NaN and infinity in inputs.
        bounded: refuse what is beyond the limits of its channel.
    """

    def __init__(
        self,
        where: Path,
        rollout: bytes,
        step: bytes | None,
        *,
        threads: int,
        finite: bool,
        bounded: bool = False,
    ) -> None:
        self._where, self._finite, self._bounded = where, finite, bounded
        self._rollout = open_session(where, rollout, threads)
        names = [item.name for item in self._rollout.get_inputs()]
        if names != _INPUTS:
            raise BadInput(where, f"its inputs are {names}", expected="a rollout.onnx of kinemill")
        properties = self._rollout.get_modelmeta().custom_metadata_map
        self.interface = Interface.from_metadata(where, properties)
        self._precision, self._safe = properties.get("precision"), properties.get("safe_action")
        self._step = self._open_step(where.with_name("step.onnx"), step, threads) if step else None
        self._batch = Axis("batch")
        self._state_axis = self._axis("states", self.states)
        self._action_axis = self._axis("actions", self.actions)
        past = Axis("past actions (history - 1)", self.history - 1)
        self._known_axes = (self._batch, Axis("history", self.history), self._state_axis)
        self._past_axes = (self._batch, past, self._action_axis)
        self._future_axes = (self._batch, Axis("horizon"), self._action_axis)
        states, actions = len(self.states), len(self.actions)
        self._sizes = (self.history, states, self.history - 1, actions, actions)
        self._observed: deque[tuple[Array, Array | None]] = deque(maxlen=self.history)
        self._compiled: CompiledRollout | None = None

    def _axis(self, name: str, channels: tuple[str, ...]) -> Axis:
        known = self.limits if self._bounded else {}
        limits = tuple(known.get(channel, (-np.inf, np.inf)) for channel in channels)
        return Axis(name, len(channels), channels, limits if known else ())

    @property
    def engine(self) -> str:
        """What works `rollout` out."""
        return self._compiled.engine if self._compiled else "ONNX Runtime"

    @property
    def safe_action(self) -> Array:
        """What to send when nothing better is known, (A,): as the task declares."""
        known = json.loads(self._safe) if self._safe else {}
        limits = [self.limits.get(name, (-np.inf, np.inf)) for name in self.actions]
        rest = [float(np.clip(0.0, *pair)) for pair in limits]
        pairs = zip(self.actions, rest, strict=True)
        return np.array([known.get(name, value) for name, value in pairs], dtype=np.float32)

    def quicken(self, compiled: CompiledRollout) -> None:
        """Let machine code work `rollout` out from now on, after comparing it with the ONNX file.

        Raises:
            BadInput: it gives other numbers; nothing has changed then.
        """

        def onnx(*given: Array) -> Array:
            return self._rollout.run(_NEXT, dict(zip(_INPUTS, given, strict=True)))[0]

        check_same(compiled, onnx, self.interface)
        self._compiled = compiled

    def _open_step(self, where: Path, model: bytes, threads: int) -> Any:
        """Open step.onnx, unless it does not belong to the rollout.onnx beside it."""
        session = open_session(where, model, threads)
        names = [item.name for item in session.get_inputs()]
        wanted = ["state", "action", *(item.name for item in self.interface.carry)]
        if names != wanted:
            raise BadInput(where, f"its inputs are {names}", expected=f"{wanted}")
        properties = session.get_modelmeta().custom_metadata_map
        same = properties.get("precision") == self._precision
        if Interface.from_metadata(where, properties) != self.interface or not same:
            raise BadInput(
                where,
                "is of another model than the rollout.onnx beside it",
                expected="two files of one export",
                fix="export the model again",
            )
        return session

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, in order."""
        return self.interface.states

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions, in order."""
        return self.interface.actions

    @property
    def units(self) -> dict[str, str]:
        """Unit by channel."""
        return self.interface.units

    @property
    def dt(self) -> float:
        """Time step, s."""
        return self.interface.dt

    @property
    def history(self) -> int:
        """Rows known before the first prediction, H."""
        return self.interface.history

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest physical value, by channel that has them."""
        return self.interface.limits

    def rollout(
        self,
        states: ArrayLike,
        past_actions: ArrayLike,
        actions: ArrayLike,
        *,
        initial: Mapping[str, ArrayLike] | None = None,
    ) -> Array:
        """Predict with the model's own output fed back.

        Args:
            states: (B, H, S), the last row is the present.
            past_actions: (B, H-1, A), the actions between those states.
            actions: (B, T, A), the first acts from the present on.
            initial: other values of the present by name of state, a number or (B,); the whole
                history of that state is shifted by as much.

        Returns:
            (B, T, S) float32, the states after each of `actions`; angles within [-π, π]. It is
            the caller's own: no later call writes into it.

        Raises:
            BadInput: a shape, a kind of number, or a value that cannot be used.
        """
        if initial:
            states = self.move(states, initial)
        return self._roll(_NEXT, states, past_actions, actions)[0]

    def rollout_members(
        self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> Array:
        """Predict as `rollout` does, once by each member of an ensemble of E: (B, E, T, S).

        Raises:
            BadInput: as for `rollout`, or the model is no ensemble.
        """
        offsets = f"path_{self._belief.offsets}"
        found = self._roll(["next_states", offsets], states, past_actions, actions)
        return members_of(self.interface, *found)

    def rollout_deviation(
        self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> tuple[Array, Array]:
        """Predict as `rollout` does, and how far off that may be.

        Returns:
            (B, T, S) the states, and their standard deviations in the same units.

        Raises:
            BadInput: as for `rollout`, or the model does not say how sure it is.
        """
        belief = self._belief
        paths = [f"path_{name}" for name in (belief.offsets, belief.covariance) if name]
        found, *told = self._roll(["next_states", *paths], states, past_actions, actions)
        return found, deviation_of(belief, told[0], told[1] if len(told) > 1 else None)

    @property
    def _belief(self) -> Belief:
        belief = self.interface.belief
        if belief is None:
            raise BadInput(
                self._where,
                "is one model, which does not say how sure it is",
                expected="an ensemble",
                fix="train one with learn.ensemble, or with learn.loss: gaussian",
            )
        return belief

    def _roll(
        self, names: list[str], states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> list[Array]:
        if self._ready_made(states, past_actions, actions):
            found = self._run(names, states, past_actions, actions)
            # NaN or infinity in an input is NaN in all of that row, so one column of the answer
            # tells; looking at every input costs more than ten steps of a small model.
            if not self._finite or np.isfinite(found[0][:, -1, 0]).all():
                return found
        known = as_input("states", states, self._known_axes, finite=self._finite)
        past = as_input("past_actions", past_actions, self._past_axes, finite=self._finite)
        future = as_input("actions", actions, self._future_axes, finite=self._finite)
        same_batch(states=known, past_actions=past, actions=future)
        return self._run(names, known, past, future)

    def _run(self, names: list[str], states: Any, past_actions: Any, actions: Any) -> list[Array]:
        if self._compiled is not None and names is _NEXT:
            return [self._compiled(states, past_actions, actions)]
        feed = {"states": states, "past_actions": past_actions, "actions": actions}
        return self._rollout.run(names, feed)

    def _ready_made(self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike) -> bool:
        """Tell whether nothing has to be converted: what a control loop hands in every time."""
        if self._bounded:
            return False  # every value is looked at
        for part in (states, past_actions, actions):
            if type(part) is not np.ndarray or part.dtype != _FLOAT or not part.flags.c_contiguous:
                return False
        shapes = np.shape(states), np.shape(past_actions), np.shape(actions)
        if len(shapes[0]) != 3 or len(shapes[1]) != 3 or len(shapes[2]) != 3:
            return False
        (batch, *known), (same, *past), (too, horizon, width) = shapes
        sizes = (*known, *past, width)
        return batch == same == too and batch > 0 and horizon > 0 and sizes == self._sizes

    def hold(
        self, state: Mapping[str, float], action: Mapping[str, float] | None = None
    ) -> tuple[Array, Array]:
        """Return a history (1, H, S), (1, H-1, A) that stood still at `state` under `action`.

        What is not named is 0, of states and of actions.

        Raises:
            BadInput: a name that the model does not know, or a value that is not finite.
        """
        return hold(self.interface, state, action)

    def move(self, states: ArrayLike, initial: Mapping[str, ArrayLike]) -> Array:
        """Return the history (B, H, S) shifted, state by state, so that it ends at other values.

        Raises:
            BadInput: a name that the model does not know, or a shape or value that cannot be used.
        """
        known = as_input("states", states, self._known_axes, finite=self._finite)
        return move(self.interface, known, initial)

    def warm_up(self, states: ArrayLike, past_actions: ArrayLike) -> tuple[Array, ...]:
        """Return the carry for the first `step` after states (B, H, S), past actions (B, H-1, A).

        It has seen all but the last of the states, which is the one to step from.
        """
        known = as_input("states", states, self._known_axes, finite=self._finite)
        past = as_input("past_actions", past_actions, self._past_axes, finite=self._finite)
        batch = same_batch(states=known, past_actions=past)
        carry = self.initial_carry(batch)
        for index in range(self.history - 1):
            _, *rest = self.step(known[:, index], past[:, index], *carry)
            carry = tuple(rest)
        return carry

    def initial_carry(self, batch: int) -> tuple[Array, ...]:
        """Return the carry before anything was seen: zeros."""
        shapes = [item.shape for item in self.interface.carry]
        return tuple(np.zeros((batch, *shape), dtype=np.float32) for shape in shapes)

    def step(self, state: ArrayLike, action: ArrayLike, *carry: ArrayLike) -> tuple[Array, ...]:
        """Advance by one time step.

        Args:
            state: (B, S).
            action: (B, A), acts from `state` to the next.
            carry: from `warm_up` or the step before.

        Returns:
            The next state (B, S), then the next carry.

        Raises:
            BadInput: as for `rollout`, or there is no step.onnx.
        """
        if self._step is None:
            raise BadInput(
                self._where.with_name("step.onnx"), "is not there", expected="both files"
            )
        if len(carry) != len(self.interface.carry):
            wanted = ", ".join(item.name for item in self.interface.carry) or "none"
            raise BadInput("carry", f"{len(carry)} given", expected=wanted, fix="see warm_up")
        feed = {
            "state": self._input("state", state, self._state_axis),
            "action": self._input("action", action, self._action_axis),
        }
        for item, value in zip(self.interface.carry, carry, strict=True):
            axes = [Axis(f"axis {index + 1}", size) for index, size in enumerate(item.shape)]
            feed[item.name] = self._input(item.name, value, *axes)
        same_batch(**feed)
        names = [f"next_{item.name}" for item in self.interface.carry]
        return tuple(self._step.run(["next_state", *names], feed))

    def observe(self, state: ArrayLike, action: ArrayLike | None = None) -> None:
        """Remember what a robot just measured, and the action that acts from there on.

        Args:
            state: (S,), measured now.
            action: (A,), acting from `state` to the next; leave it out while it is being chosen
                (with `predict`), then tell it to `apply`.

        Raises:
            BadInput: as for `rollout`, or the action after the observation before is not known.
        """
        measured = as_input("state", state, [self._state_axis], finite=self._finite)
        if action is None and not self.actions:
            action = np.zeros(0)  # nothing acts on it, so nothing is left to choose
        acting = None if action is None else self._one_action(action)
        if self._observed and self._observed[-1][1] is None:
            raise BadInput(
                "observe",
                "which action led to this state is not known",
                fix="call apply(action) after each observe(state), or observe(state, action)",
            )
        self._observed.append((measured, acting))

    def as_measured(self, state: ArrayLike) -> Array:
        """Check a measurement as a watchdog does before it is needed; NaN passes.

        Returns:
            It, (S,), the caller's own.

        Raises:
            BadInput: another shape, or no numbers.
        """
        axes = [Axis("states", len(self.states), self.states)]
        return as_input("state", state, axes, finite=False).copy()

    def apply(self, action: ArrayLike) -> None:
        """Remember the action (A,) that acts from the last observed state to the next."""
        if not self._observed:
            raise BadInput("apply", "nothing was observed yet", fix="call observe(state) first")
        self._observed[-1] = (self._observed[-1][0], self._one_action(action))

    def forget(self) -> None:
        """Drop the observed history, as after a reset of the robot."""
        self._observed.clear()

    @property
    def ready(self) -> bool:
        """Whether enough was observed to `predict`."""
        return len(self._observed) == self.history

    def predict(self, actions: ArrayLike) -> Array:
        """Roll candidates out from what was observed last.

        Args:
            actions: (B, T, A), B candidate sequences; the first of each acts from the state
                observed last, in place of one it may have been observed with.

        Returns:
            (B, T, S), the states after each of `actions`.

        Raises:
            BadInput: fewer than H states were observed, or as for `rollout`.
        """
        if not self.ready:
            raise BadInput(
                "predict", f"{len(self._observed)} observed", expected=f"{self.history} states"
            )
        future = as_input("actions", actions, self._future_axes, finite=self._finite)
        states = np.stack([state for state, _ in self._observed])
        past = [action for _, action in self._observed if action is not None]
        rows = np.zeros((self.history - 1, len(self.actions)), dtype=np.float32)
        rows[:] = past[: self.history - 1] if self.history > 1 else rows
        batch = len(future)
        return self.rollout(_repeat(states, batch), _repeat(rows, batch), future)

    def _input(self, name: str, value: ArrayLike, *axes: Axis) -> Array:
        return as_input(name, value, [self._batch, *axes], finite=self._finite)

    def _one_action(self, action: ArrayLike) -> Array:
        return as_input("action", action, [self._action_axis], finite=self._finite)


def _repeat(rows: Array, batch: int) -> Array:
    return np.ascontiguousarray(np.broadcast_to(rows, (batch, *rows.shape)))
