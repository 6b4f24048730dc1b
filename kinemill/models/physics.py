"""System identification of simple joints: physics linear in its parameters, in closed form.

The acceleration of each joint is a sum of terms: gravity (sines and cosines of angles), viscous and
Coulomb friction, drag, coupling between joints, actions, and earlier rows for delays and filters.
Brunton, Proctor and Kutz (2016) identify such libraries; `rigid_body` identifies the equations
themselves. The initial weights are the least-squares solution over all training rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from kinemill.models._layout import ModelLayout
from kinemill.models._regression import RegressionModel
from kinemill.task.channels import Channel
from kinemill.task.plugins import MODELS
from kinemill.task.portfolio import Candidate, Structure, TaskFacts
from kinemill.task.protocols import TorchModule
from kinemill.task.settings import Problems, unknown_channels

MAX_COUPLED = 8  # joints; products of all pairs of more joints are too many terms
MAX_HISTORY = 10  # rows that delays and filters of a drive take


@MODELS.register("physics")
class Physics(RegressionModel):
    """Physical terms of joints, solved in closed form; for mechanics with few joints."""

    type: Literal["physics"] = "physics"
    coupling: bool = True
    """products of velocities with each other, and of both velocities and actions with sines and
    cosines of angles"""
    friction: Literal["coulomb", "stribeck"] = "coulomb"
    """coulomb: dry friction; stribeck: dry friction that falls with the velocity"""
    pairs: dict[str, str] | None = None
    """position by velocity; default: the pairs that `learn.outputs` and `learn.relations`
    integrate"""

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return the names of unknown channels."""
        pairs = [*(self.pairs or {}), *(self.pairs or {}).values()]
        return unknown_channels(pairs, channels, "pairs") + super().problems(channels)

    @classmethod
    def structures(cls, facts: TaskFacts) -> Sequence[Structure]:
        """Return accelerations and changes, coupled and not, where velocities have positions."""
        if not facts.pairs:
            return []
        common = {"type": "physics", "pairs": dict(facts.pairs), "relative": list(facts.relative)}
        return [
            Structure(
                "physics",
                f"physics of {name}{', coupled' if coupling else ''}",
                {**common, "coupling": coupling},
                outputs,
                facts.columns,
                MAX_HISTORY,
            )
            for coupling in ((False, True) if len(facts.pairs) <= MAX_COUPLED else (False,))
            for name, outputs in (("accelerations", facts.accelerations), ("changes", facts.deltas))
        ]

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose friction that falls with the velocity, with the best history so far."""
        model: dict[str, object] = {"type": "physics", "friction": "stribeck"}
        model |= {"pairs": dict(facts.pairs), "coupling": len(facts.pairs) <= MAX_COUPLED}
        rows = min(facts.history, MAX_HISTORY)
        settings = {"model": model, "outputs": facts.accelerations, "history": rows}
        name = f"physics of accelerations, Stribeck friction, history {rows}"
        return [Candidate(name, settings | {"optimizer": {"lr": 1e-4}})] if facts.pairs else []

    def terms_of(
        self, layout: ModelLayout, relative: Sequence[bool], scale: Mapping[str, Any]
    ) -> TorchModule:
        """Make the `MechanicsTerms`."""
        from kinemill.models.networks.mechanics_terms import MechanicsTerms

        pairs = _pairs(layout, self.pairs)
        flags = {"coupling": self.coupling, "stribeck": self.friction == "stribeck"}
        return MechanicsTerms(layout, relative, pairs, scale["state_std"], **flags)


def _pairs(layout: ModelLayout, named: Mapping[str, str] | None) -> list[tuple[int, int]]:
    """Return columns of position and velocity: as named, or as velocities are integrated."""
    states = layout.states
    if named is not None:
        return [(states.index(q), states.index(v)) for v, q in named.items()]
    rates = [states.index(output.of) for _, output in layout.outputs]
    return [
        (position, rate)
        for rate in rates
        for position in range(len(states))
        if position != rate and layout.drift[rate, position] != 0.0
    ]
