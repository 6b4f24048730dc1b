"""A learned simulator behind the interface of a controller."""

from pathlib import Path

import numpy as np

from kinemill.control.plan import Floats
from kinemill.errors import BadInput
from kinemill.runtime import Simulator, load_simulator
from kinemill.task.document import Task


class LearnedModel:
    """A `kinemill.runtime.Simulator`, simulating many plans from one history.

    Of an ensemble every member is asked, so that `control.risk` weighs where they disagree.

    Args:
        simulator: loaded with `kinemill.runtime.load`.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        belief = simulator.interface.belief
        self._members = belief is not None and belief.members > 1

    @property
    def history(self) -> int:
        """Rows known before the first prediction, H."""
        return self.simulator.history

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Try actions (B, T, A) after states (H, S) and past actions (H-1, A).

        Returns:
            (B, T, S), of an ensemble (M, B, T, S).
        """
        plans = np.asarray(actions, dtype=np.float32)
        histories, past = _repeat(states, len(plans)), _repeat(past_actions, len(plans))
        if self._members:
            return np.moveaxis(self.simulator.rollout_members(histories, past, plans), 1, 0)
        return self.simulator.rollout(histories, past, plans)


def learned_model(
    task: Task, where: str | Path, threads: int = 1, provider: str = "cpu"
) -> LearnedModel:
    """Load a model for a task.

    Args:
        task: whose channels it must have.
        where: a folder, or an address such as `models:/TASK@champion`.
        threads: of ONNX Runtime.
        provider: where the model is executed, see `kinemill.runtime.load`; native code on a CPU.

    Raises:
        BadInput: there is no such model, or it is of other channels or of another time step.
    """
    # A plan that the model cannot follow is bad, not an error.
    engine = "auto" if provider == "cpu" else "onnx"
    simulator = load_simulator(
        where, threads=threads, provider=provider, non_finite="pass", engine=engine
    )
    expected = (tuple(task.states), tuple(task.actions))
    if (names := (simulator.states, simulator.actions)) != expected:
        raise BadInput(where, f"is of the channels {names}", expected=f"{expected}")
    if abs(simulator.dt - task.dt) > 1e-9:
        raise BadInput(where, f"has a step of {simulator.dt:g} s", expected=f"{task.dt:g} s")
    return LearnedModel(simulator)


def _repeat(rows: Floats, count: int) -> Floats:
    rows = np.asarray(rows, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(rows, (count, *rows.shape)))
