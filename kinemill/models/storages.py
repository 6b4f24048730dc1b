"""Storages in series, such as tanks, for slow processes that are measured in part.

Each measured output is read from the last of a chain of storages. Inputs fill the first one; what
flows out of a storage fills the next. A flow follows the square root of the level (Torricelli); out
of the last storage it is multiplied by an unknown function of the level. What does not fit into a
storage runs over into the next. The output is a line plus an unknown function of the last level.
This is the cascade of reservoirs of Nash (IASH Publication 45, 1957) with nonlinear outflows. Fit
it with `learn.gauss_newton`: it has few parameters, and errors of long rollouts count.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kinemill.models._encoded_state import OFFSET, EncodedShape, EncodedStateModel, few_rows
from kinemill.task import MODELS, Candidate, Ratio, TaskFacts, TorchModule, Width


@MODELS.register("storages")
class Storages(EncodedStateModel):
    """Storages in series before each output; for tanks and similar processes."""

    type: Literal["storages"] = "storages"
    count: Width = 2
    """storages in series before each output"""
    lag: Ratio = 10.0
    """rows of the lag of each storage before training"""
    points: int = Field(default=7, ge=3, le=100)
    """points of each unknown function"""
    offset: bool = Field(default=True, description=OFFSET)

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose two storages before each state of a process: no angles, no velocities."""
        rows = few_rows(facts, 2 * len(facts.states))
        if not rows or not facts.actions:
            return []
        settings = {
            "model": {"type": "storages", "lag": rows, "limits": dict(facts.saturated)},
            "outputs": {name: {"relation": "equal", "of": name} for name in facts.states},
            "history": rows,
            "horizon": facts.rollout,
            "gauss_newton": {"windows": 96, "iterations": 20, "ridge": 2e-4, "n_init": 3},
            "optimizer": {"lr": 1e-4},
        }
        return [Candidate(f"2 storages in series, history {rows}", settings, trains=True)]

    def make(self, shape: EncodedShape) -> TorchModule:
        """Make the `StoragesNetwork`."""
        from kinemill.models.networks.storages import StoragesNetwork

        return StoragesNetwork(shape, self.count, self.lag, self.points)
