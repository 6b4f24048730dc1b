"""Physical sense, where a task says what that is: energy does not grow by itself, mirrors agree.

Symbols: N windows, H history, T horizon, S states, A actions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinemill.runtime import Simulator, wrapped
from kinemill.runtime.window_metrics import QUIETLY, Floats
from kinemill.store import Json
from kinemill.task.expressions import Expression
from kinemill.task.verify import Energy, Symmetry, Verify
from kinemill.verify.checklist import Gate
from kinemill.verify.test_inputs import Probe


@dataclass(frozen=True)
class Sense:
    """What one physical question came to.

    Attributes:
        name: `energy` or `symmetry`.
        found: of what it is measured in.
        within: how much passes.
        text: the same as text.
    """

    name: str
    found: float
    within: float
    text: str

    @property
    def passed(self) -> bool:
        """No more than allowed; NaN is more."""
        return self.found <= self.within

    def gate(self) -> Gate:
        """Return the line of the verdict."""
        return Gate(self.name, self.passed, self.text, f"at most {self.within:.3g} of its spread")


def physical_sense(
    simulator: Simulator, probe: Probe, spread: Floats, settings: Verify
) -> list[Sense]:
    """Ask what the task asks, on measured windows; nothing for a task that asks nothing.

    Args:
        simulator: loaded with `non_finite="pass"`.
        probe: measured windows.
        spread: of each state in training, (S,).
        settings: with `energy` and `symmetry`.
    """
    found: list[Sense] = []
    if settings.energy:
        found.append(energy_growth(simulator, probe, settings.energy))
    if settings.symmetry:
        found.append(asymmetry(simulator, probe, spread, settings.symmetry))
    return found


@QUIETLY
def energy_growth(simulator: Simulator, probe: Probe, energy: Energy) -> Sense:
    """Roll out without input: the mean growth of energy, of its spread over the windows."""
    idle = simulator.rollout(probe.states, probe.past_actions, np.zeros_like(probe.actions))
    before = _energy(simulator, probe.states[:, -1], energy)
    growth = np.maximum(_energy(simulator, idle[:, -1], energy) - before, 0.0)
    spread = float(before.std())
    found = float(growth.mean() / spread) if spread > 0.0 else float("nan")
    return Sense("energy", found, energy.within, f"grows by {found:.3g} of its spread")


def _energy(simulator: Simulator, states: Any, energy: Energy) -> Floats:
    values = {
        name: np.asarray(states[:, index], dtype=np.float64)
        for index, name in enumerate(simulator.states)
    }
    return np.broadcast_to(Expression(energy.formula).value(values), len(states)).astype(np.float64)


@QUIETLY
def asymmetry(simulator: Simulator, probe: Probe, spread: Floats, symmetry: Symmetry) -> Sense:
    """Compare the image of a rollout with the rollout of the image, root mean square in spreads."""
    states = mirrored(probe.states, simulator.states, symmetry)
    past, actions = (
        mirrored(part, simulator.actions, symmetry) for part in (probe.past_actions, probe.actions)
    )
    image = mirrored(simulator.rollout(*probe.inputs), simulator.states, symmetry)
    angle = np.array([name in simulator.interface.angles for name in simulator.states])
    off = wrapped(simulator.rollout(states, past, actions).astype(np.float64) - image, angle)
    found = float(np.sqrt(((off / spread) ** 2).mean()))
    return Sense("symmetry", found, symmetry.within, f"{found:.3g} of a spread apart")


def mirrored(values: Any, names: tuple[str, ...], symmetry: Symmetry) -> Any:
    """Return the mirror image of (..., C) values of the channels `names`."""
    partner = {one: other for pair in symmetry.swap for one, other in (pair, pair[::-1])}
    order = [names.index(partner.get(name, name)) for name in names]
    sign = np.array([-1.0 if name in symmetry.flip else 1.0 for name in names])
    return (values[..., order] * sign).astype(np.float32)


def sense_document(found: list[Sense]) -> Json:
    """Return the part `physics` of verification.json."""
    return {one.name: {"found": one.found, "within": one.within} for one in found}
