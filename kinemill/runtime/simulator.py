"""Learned simulator: rollouts, single steps, and an online history.

Symbols: B batch, H history, T horizon, S states, A actions, Y outputs.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kinemill.errors import BadInput
from kinemill.registry import Links
from kinemill.runtime.history_buffer import HistoryBuffer
from kinemill.runtime.initial_state import hold, move
from kinemill.runtime.input_checks import Array, same_batch
from kinemill.runtime.inputs import Inputs
from kinemill.runtime.interface import Belief, Interface, described, safe_action
from kinemill.runtime.native_engine import CompiledRollout, check_same
from kinemill.runtime.session import Execution, open_with
from kinemill.runtime.stepper import Step, open_step
from kinemill.runtime.uncertainty import belief_of, deviation_of, members_of
from kinemill.store.json_io import Json

# Members compile the bytes of a step.onnx; they need packages that a robot may not have.
COMPILERS: Links[Callable[[bytes], CompiledRollout]] = Links(
    "compiler", {"c99": "kinemill.export.c99.rollout"}
)

_NEXT = ["next_states"]
_INPUTS = ["states", "past_actions", "actions"]
_WITH_OUTPUTS = ["next_states", "outputs"]


class Simulator:
    """A dynamics model in ONNX Runtime, in the units of the task; created by `load`.

    Args:
        where: source of the model, for messages.
        rollout: bytes of `rollout.onnx`.
        step: bytes of `step.onnx`, or None.
        execution: threads and provider of ONNX Runtime.
        finite: reject NaN and infinity in inputs.
        bounded: reject values beyond the limits of their channel.
    """

    def __init__(
        self,
        where: Path,
        rollout: bytes,
        step: bytes | None,
        *,
        execution: Execution,
        finite: bool,
        bounded: bool = False,
    ) -> None:
        self._where = where
        self._files = (where, rollout, step)
        self._options = {"execution": execution, "finite": finite, "bounded": bounded}
        self._rollout = open_with(where, rollout, execution, _INPUTS, "a rollout.onnx of kinemill")
        properties = self._rollout.get_modelmeta().custom_metadata_map
        self.interface = Interface.from_metadata(where, properties)
        self._inputs = Inputs(self.interface, finite=finite, bounded=bounded)
        self._safe = json.loads(properties.get("safe_action") or "{}")
        step_path = where.with_name("step.onnx")
        self._step = (
            open_step(step_path, step, execution, self._inputs, properties) if step else None
        )
        self._observed = HistoryBuffer(self.history, len(self.actions))
        self._compiled: CompiledRollout | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the arguments and the observed history: sessions cannot be pickled."""
        state = {"rows": self._observed.rows, "compiled": self._compiled is not None}
        return partial(Simulator, **self._options), self._files, state

    def __setstate__(self, state: Json) -> None:
        """Restore the observed history, and compile again if it was compiled."""
        self._observed = HistoryBuffer(self.history, len(self.actions), state["rows"])
        if state["compiled"]:
            self.compile()

    @property
    def file(self) -> Path:
        """Path of the model's `rollout.onnx`, for messages."""
        return self._where

    @property
    def engine(self) -> str:
        """Name of the engine of `rollout`."""
        return self._compiled.engine if self._compiled else "ONNX Runtime"

    @property
    def safe_action(self) -> Array:
        """Safe action (A,) in `units`: declared values, else the one within limits closest to 0."""
        values = safe_action(self.actions, self.limits, self._safe)
        return np.array(list(values.values()), np.float32)

    def compile(self) -> None:
        """Compile `rollout` to native code and use it from now on.

        Raises:
            BadInput: `step.onnx` is missing or cannot be compiled, or the results differ.
            ModuleNotFoundError: `onnx` is not installed.
        """
        step = self._files[2]
        if step is None:
            step_path = self._where.with_name("step.onnx")
            raise BadInput(step_path, "does not exist", expected="the source of the C code")
        self.use_compiled(COMPILERS["c99"](step))

    def use_compiled(self, compiled: CompiledRollout) -> None:
        """Use compiled code for `rollout` after comparing it with the ONNX file.

        Raises:
            BadInput: The results differ; the engine is unchanged.
        """

        def onnx(*inputs: Array) -> Array:
            return self._rollout.run(_NEXT, dict(zip(_INPUTS, inputs, strict=True)))[0]

        check_same(compiled, onnx, self.interface)
        self._compiled = compiled

    def __repr__(self) -> str:
        return (
            f"Simulator of {self.interface.task}, {1.0 / self.dt:g} Hz, {self.history} rows of "
            f"history\n  states: {described(self.states, self.units)}"
            f"\n  actions: {described(self.actions, self.units)}"
        )

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, in order."""
        return self.interface.states

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions, in order."""
        return self.interface.actions

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the channels that are predicted but not fed back, in order."""
        return self.interface.outputs

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
        """Rows before the first prediction, H."""
        return self.interface.history

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest physical value by channel, in `units`, where defined."""
        return self.interface.limits

    def rollout(
        self,
        states: ArrayLike,
        past_actions: ArrayLike,
        actions: ArrayLike,
        *,
        initial: Mapping[str, ArrayLike] | None = None,
    ) -> Array:
        """Predict T steps, with predictions fed back.

        Args:
            states: (B, H, S), the last row is the current one; states of `interface.derived` can
                be left out, or hold any finite number.
            past_actions: (B, H-1, A), the actions between those states.
            actions: (B, T, A), the first one acts from the current state on.
            initial: other current values by name of state, a number or (B,); the whole history of
                that state is shifted by the difference.

        Returns:
            (B, T, S) of `interface.dtype`, the states after each of `actions`; angles within
            [-π, π]. Later calls do not change the array.

        Raises:
            BadInput: An input has an invalid shape, type or value.
        """
        if initial:
            states = self.move(states, initial)
        return self._roll(_NEXT, states, past_actions, actions)[0]

    def rollout_outputs(
        self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> tuple[Array, Array]:
        """Predict T steps with outputs, such as forces; arguments as in `rollout`.

        Returns:
            The states (B, T, S) after each of `actions`, and the outputs (B, T, Y) at the row of
            each action: the first ones belong to the current state.

        Raises:
            BadInput: As in `rollout`, or the model has no outputs.
        """
        self._require_outputs()
        next_states, outputs = self._roll(_WITH_OUTPUTS, states, past_actions, actions)
        return next_states, outputs

    def _require_outputs(self) -> None:
        if not self.outputs:
            raise BadInput(
                self._where,
                "has no outputs",
                expected="a model of a task with channels of `role: output`",
            )

    def rollout_members(
        self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> Array:
        """Return the predictions of each of E members, (B, E, T, S); arguments as in `rollout`.

        Raises:
            BadInput: As in `rollout`, or the model is not an ensemble.
        """
        offsets = f"path_{belief_of(self.interface, self._where).offsets}"
        outputs = self._roll(["next_states", offsets], states, past_actions, actions)
        return members_of(self.interface, *outputs)

    def rollout_deviation(
        self,
        states: ArrayLike,
        past_actions: ArrayLike,
        actions: ArrayLike,
        *,
        conformal: bool = True,
    ) -> tuple[Array, Array]:
        """Predict with standard deviations; other arguments as in `rollout`.

        Args:
            states: (B, H, S).
            past_actions: (B, H-1, A).
            actions: (B, T, A).
            conformal: apply the correction from validation episodes, if the model has one.

        Returns:
            The states (B, T, S), and their standard deviations in the same units.

        Raises:
            BadInput: As in `rollout`, or the model has no uncertainty.
        """
        belief, next_states, offsets, covariance = self._belief(states, past_actions, actions)
        if not conformal:
            belief = replace(belief, conformal=None)
        return next_states, deviation_of(belief, offsets, covariance)

    def rollout_belief(
        self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> tuple[Array, Array]:
        """Return the results of `rollout_members` and `rollout_deviation` from one rollout.

        Returns:
            Members (B, E, T, S), and standard deviations (B, T, S) in the same units.

        Raises:
            BadInput: As in `rollout`, or the model has no uncertainty.
        """
        belief, next_states, offsets, covariance = self._belief(states, past_actions, actions)
        members = members_of(self.interface, next_states, offsets)
        return members, deviation_of(belief, offsets, covariance)

    def _belief(
        self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> tuple[Belief, Array, Array, Array | None]:
        """Return belief, states (B, T, S), offsets (B, T, E, S) and covariances (B, T, S, S)."""
        belief = belief_of(self.interface, self._where)
        paths = [f"path_{name}" for name in (belief.offsets, belief.covariance) if name]
        names = ["next_states", *paths]
        next_states, offsets, *covariance = self._roll(names, states, past_actions, actions)
        return belief, next_states, offsets, covariance[0] if covariance else None

    def _roll(
        self, names: list[str], states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> list[Array]:
        if self._inputs.is_ready_made(states, past_actions, actions):
            outputs = self._run(names, states, past_actions, actions)
            # The NaN guard makes a whole row NaN, so one column of the output suffices; checking
            # every input would cost more than ten steps of a small model.
            if not self._inputs.finite or np.isfinite(outputs[0][:, -1, 0]).all():
                return outputs
        histories = self._inputs.states(states)
        past = self._inputs.past_actions(past_actions)
        future = self._inputs.actions(actions)
        same_batch(states=histories, past_actions=past, actions=future)
        return self._run(names, histories, past, future)

    def _run(self, names: list[str], states: Any, past_actions: Any, actions: Any) -> list[Array]:
        if self._compiled is not None and names is _NEXT:
            return [self._compiled(states, past_actions, actions)]
        feed = {"states": states, "past_actions": past_actions, "actions": actions}
        return self._rollout.run(names, feed)

    def hold(
        self, state: Mapping[str, float], action: Mapping[str, float] | None = None
    ) -> tuple[Array, Array]:
        """Return a constant history: states (1, H, S) and actions (1, H-1, A).

        Channels without a value are 0.

        Raises:
            BadInput: A name is unknown, or a value is not finite.
        """
        return hold(self.interface, state, action)

    def move(self, states: ArrayLike, initial: Mapping[str, ArrayLike]) -> Array:
        """Return the history (B, H, S) with some states shifted so that they end at new values.

        Raises:
            BadInput: A name is unknown, or a shape or value is invalid.
        """
        return move(self.interface, self._inputs.states(states), initial)

    def warm_up(self, states: ArrayLike, past_actions: ArrayLike) -> tuple[Array, ...]:
        """Return the carry for the first `step` after states (B, H, S), past actions (B, H-1, A).

        It covers all states but the last one, from which `step` starts.

        Raises:
            BadInput: An input has an invalid shape, type or value, or step.onnx is missing.
        """
        histories = self.estimate(states)
        past = self._inputs.past_actions(past_actions)
        carry = self.initial_carry(same_batch(states=histories, past_actions=past))
        # As in rollout.onnx: the first `surplus` rows only serve the estimates of derived states.
        for index in range(self.interface.surplus, self.history - 1):
            carry = self.step(histories[:, index], past[:, index], *carry)[1:]
        return carry

    def estimate(self, states: ArrayLike) -> Array:
        """Return a history with its derived states estimated, such as velocities of positions.

        The first `step` starts from its last row. `rollout` does this itself.

        Args:
            states: (B, H, S) with any finite number in derived states, or (B, H, M) with the M
                states of `interface.measured` alone.

        Returns:
            (B, H, S); without derived states, the input.

        Raises:
            BadInput: An input has an invalid shape, type or value.
        """
        histories = self._inputs.states(states)
        if not self.interface.derived:
            return histories
        # Estimates depend on states alone, but the rollout needs actions for at least one step.
        shape = len(histories), self.history - 1, len(self.actions)
        past = np.zeros(shape, self.interface.dtype)
        actions = np.zeros((len(histories), 1, len(self.actions)), self.interface.dtype)
        return self._run(["estimated_states"], histories, past, actions)[0]

    def initial_carry(self, batch: int) -> tuple[Array, ...]:
        """Return the carry before the first step: zeros (B, ...) for each part."""
        dtype = self.interface.dtype
        return tuple(np.zeros((batch, *part.shape), dtype) for part in self.interface.carry)

    def step(self, state: ArrayLike, action: ArrayLike, *carry: ArrayLike) -> tuple[Array, ...]:
        """Advance by one time step.

        Args:
            state: (B, S).
            action: (B, A), acts from `state` to the next.
            carry: from `warm_up` or the previous step.

        Returns:
            The next state (B, S), then the next carry.

        Raises:
            BadInput: As in `rollout`, or step.onnx is missing.
        """
        return self._open_step()(state, action, *carry)

    def step_outputs(self, state: ArrayLike, action: ArrayLike, *carry: ArrayLike) -> Array:
        """Return the outputs (B, Y) at a state (B, S) under an action (B, A); carry as in `step`.

        Raises:
            BadInput: As in `step`, or the model has no outputs.
        """
        self._require_outputs()
        return self._open_step().outputs(state, action, *carry)

    def _open_step(self) -> Step:
        if self._step is None:
            step_path = self._where.with_name("step.onnx")
            raise BadInput(step_path, "does not exist", expected="both files")
        return self._step

    def observe(self, state: ArrayLike, action: ArrayLike | None = None) -> None:
        """Add a measured state to the history, with the action applied at it, in `units`.

        Args:
            state: (S,), measured now.
            action: (A,), applied from `state` to the next; omit it while it is being chosen (with
                `predict`), then call `apply`.

        Raises:
            BadInput: As in `rollout`, or the action at the previous state is unknown.
        """
        measured = self._inputs.state(state)
        if action is None and not self.actions:
            action = np.zeros(0)  # a system without actions
        applied = None if action is None else self._inputs.action(action).copy()
        self._observed.add(measured.copy(), applied)  # copies: the caller may reuse its buffers

    def as_measured(self, state: ArrayLike) -> Array:
        """Return a checked copy of a measurement (S,); NaN passes.

        Raises:
            BadInput: The shape or type is invalid.
        """
        return self._inputs.measured(state)

    def apply(self, action: ArrayLike) -> None:
        """Set the action (A,), in `units`, that acts from the last observed state to the next.

        Raises:
            BadInput: The action is invalid, or no state was observed yet.
        """
        self._observed.apply(self._inputs.action(action).copy())

    def forget(self) -> None:
        """Drop the observed history, as after a reset of the robot."""
        self._observed.clear()

    @property
    def ready(self) -> bool:
        """Whether the history is long enough for `predict`."""
        return self._observed.is_full

    def predict(self, actions: ArrayLike) -> Array:
        """Predict B action sequences from the observed history.

        Args:
            actions: (B, T, A); the first of each sequence acts from the last observed state, and
                replaces an action observed with it.

        Returns:
            (B, T, S), the states after each of `actions`.

        Raises:
            BadInput: Fewer than H states were observed, or as in `rollout`.
        """
        future = self._inputs.actions(actions)
        return self.rollout(*self._observed.repeat(len(future)), future)
