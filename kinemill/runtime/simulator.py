"""A learned simulator: rollouts, single steps, and a history kept online.

Symbols: B batch, H history, T horizon, S states, A actions.
"""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kinemill.errors import BadInput
from kinemill.runtime.history_buffer import HistoryBuffer
from kinemill.runtime.initial_state import hold, move
from kinemill.runtime.input_checks import Array, same_batch
from kinemill.runtime.inputs import Inputs
from kinemill.runtime.interface import Interface, safe_values
from kinemill.runtime.native_engine import CompiledRollout, check_same
from kinemill.runtime.session import open_with
from kinemill.runtime.stepper import open_step
from kinemill.runtime.uncertainty import belief_of, deviation_of, members_of

_NEXT, _INPUTS = ["next_states"], ["states", "past_actions", "actions"]


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
        self._where = where
        self._arguments = (where, rollout, step, threads, finite, bounded)
        self._rollout = open_with(where, rollout, threads, _INPUTS, "a rollout.onnx of kinemill")
        properties = self._rollout.get_modelmeta().custom_metadata_map
        self.interface = Interface.from_metadata(where, properties)
        self._inputs = Inputs(self.interface, finite=finite, bounded=bounded)
        self._safe = json.loads(properties.get("safe_action") or "{}")
        step_path = where.with_name("step.onnx")
        self._step = open_step(step_path, step, threads, self._inputs, properties) if step else None
        self._observed = HistoryBuffer(self.history, len(self.actions))
        self._compiled: CompiledRollout | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Open it anew in a copy or another process, with what was observed: no session travels."""
        state = {"rows": self._observed.rows, "compiled": self._compiled is not None}
        return _open, self._arguments, state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on with what was observed, and compile again what was compiled."""
        self._observed = HistoryBuffer(self.history, len(self.actions), state["rows"])
        if state["compiled"]:
            self.compile()

    @property
    def engine(self) -> str:
        """What works `rollout` out."""
        return self._compiled.engine if self._compiled else "ONNX Runtime"

    @property
    def safe_action(self) -> Array:
        """What to send when nothing better is known, (A,): as the task declares."""
        return safe_values(self._safe, self.actions, self.limits)

    def compile(self) -> None:
        """Let machine code that is compiled here work `rollout` out from now on.

        Raises:
            BadInput: there is no step.onnx, it cannot be compiled, or it gives other numbers.
            ModuleNotFoundError: `onnx` is not installed.
        """
        if self._arguments[2] is None:
            step_path = self._where.with_name("step.onnx")
            raise BadInput(step_path, "is not there", expected="what C is made from")
        # By name: what a robot has may lack `onnx`, and this layer is below it.
        compiling = importlib.import_module("kinemill.export.native_library")
        self.use_compiled(compiling.compile_rollout(self._arguments[2]))

    def use_compiled(self, compiled: CompiledRollout) -> None:
        """Let machine code work `rollout` out from now on, after comparing it with the ONNX file.

        Raises:
            BadInput: it gives other numbers; nothing has changed then.
        """

        def onnx(*inputs: Array) -> Array:
            return self._rollout.run(_NEXT, dict(zip(_INPUTS, inputs, strict=True)))[0]

        check_same(compiled, onnx, self.interface)
        self._compiled = compiled

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
            (B, T, S) of `interface.dtype`, the states after each of `actions`; angles within
            [-π, π]. It is the caller's own: no later call writes into it.

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
        offsets = f"path_{belief_of(self.interface, self._where).offsets}"
        outputs = self._roll(["next_states", offsets], states, past_actions, actions)
        return members_of(self.interface, *outputs)

    def rollout_deviation(
        self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> tuple[Array, Array]:
        """Predict as `rollout` does, and how far off that may be.

        Returns:
            (B, T, S) the states, and their standard deviations in the same units.

        Raises:
            BadInput: as for `rollout`, or the model does not say how sure it is.
        """
        belief = belief_of(self.interface, self._where)
        paths = [f"path_{name}" for name in (belief.offsets, belief.covariance) if name]
        next_states, *paths_over_time = self._roll(
            ["next_states", *paths], states, past_actions, actions
        )
        return next_states, deviation_of(
            belief, paths_over_time[0], paths_over_time[1] if len(paths_over_time) > 1 else None
        )

    def _roll(
        self, names: list[str], states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> list[Array]:
        if self._inputs.is_ready_made(states, past_actions, actions):
            outputs = self._run(names, states, past_actions, actions)
            # NaN or infinity in an input is NaN in all of that row, so one column of the answer
            # tells; looking at every input costs more than ten steps of a small model.
            if not self._inputs.finite or np.isfinite(outputs[0][:, -1, 0]).all():
                return outputs
        histories, past = self._inputs.states(states), self._inputs.past_actions(past_actions)
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
        return move(self.interface, self._inputs.states(states), initial)

    def warm_up(self, states: ArrayLike, past_actions: ArrayLike) -> tuple[Array, ...]:
        """Return the carry for the first `step` after states (B, H, S), past actions (B, H-1, A).

        It has seen all but the last of the states, which is the one to step from.
        """
        histories, past = self._inputs.states(states), self._inputs.past_actions(past_actions)
        carry = self.initial_carry(same_batch(states=histories, past_actions=past))
        for index in range(self.history - 1):
            carry = self.step(histories[:, index], past[:, index], *carry)[1:]
        return carry

    def initial_carry(self, batch: int) -> tuple[Array, ...]:
        """Return the carry before anything was seen: zeros."""
        dtype = self.interface.dtype
        return tuple(np.zeros((batch, *one.shape), dtype) for one in self.interface.carry)

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
            step_path = self._where.with_name("step.onnx")
            raise BadInput(step_path, "is not there", expected="both files")
        return self._step(state, action, *carry)

    def observe(self, state: ArrayLike, action: ArrayLike | None = None) -> None:
        """Remember what a robot just measured, and the action that acts from there on.

        Args:
            state: (S,), measured now.
            action: (A,), acting from `state` to the next; leave it out while it is being chosen
                (with `predict`), then tell it to `apply`.

        Raises:
            BadInput: as for `rollout`, or the action after the observation before is not known.
        """
        measured = self._inputs.state(state)
        if action is None and not self.actions:
            action = np.zeros(0)  # nothing acts on it, so nothing is left to choose
        applied = None if action is None else self._inputs.action(action).copy()
        self._observed.add(measured.copy(), applied)  # the caller may use its buffers again

    def as_measured(self, state: ArrayLike) -> Array:
        """Check a measurement as a watchdog does before it is needed; NaN passes.

        Returns:
            It, (S,), the caller's own.

        Raises:
            BadInput: another shape, or no numbers.
        """
        return self._inputs.measured(state)

    def apply(self, action: ArrayLike) -> None:
        """Remember the action (A,) that acts from the last observed state to the next."""
        self._observed.apply(self._inputs.action(action).copy())

    def forget(self) -> None:
        """Drop the observed history, as after a reset of the robot."""
        self._observed.clear()

    @property
    def ready(self) -> bool:
        """Whether enough was observed to `predict`."""
        return self._observed.whole

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
        future = self._inputs.actions(actions)
        return self.rollout(*self._observed.repeat(len(future)), future)


def _open(
    where: Path, rollout: bytes, step: bytes | None, threads: int, *checks: bool
) -> Simulator:
    finite, bounded = checks
    return Simulator(where, rollout, step, threads=threads, finite=finite, bounded=bounded)
