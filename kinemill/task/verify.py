"""The part of a task file that says how an exported model is tried."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from kinemill.registry import nearest
from kinemill.task.control import Formula, Problems
from kinemill.task.expressions import Expression
from kinemill.task.plugins import Settings


class Energy(Settings):
    """What must not grow when nothing acts: `0.5 * velocity**2 - 9.81 * cos(angle)`."""

    formula: Formula = Field(description="of states, in any unit; friction may only take from it")
    within: PositiveFloat = Field(
        default=0.05, description="growth over verify.horizon that passes, of the energy's spread"
    )


class Symmetry(Settings):
    """What mirrors the robot: the image of a rollout is the rollout of the image."""

    flip: list[str] = Field(default=[], description="channels that change their sign")
    swap: list[tuple[str, str]] = Field(default=[], description="pairs that change places")
    within: PositiveFloat = Field(
        default=0.1, description="root mean square difference that passes, in spreads"
    )


class Verify(Settings):
    """How the exported model is tried."""

    horizon: PositiveInt = 25
    stride: PositiveInt = 5
    latency_p99_ms: PositiveFloat | None = None
    energy: Energy | None = Field(
        default=None, description="what must not grow without input; default: not asked"
    )
    symmetry: Symmetry | None = Field(
        default=None, description="what mirrors the robot; default: not asked"
    )
    closed_loop: NonNegativeInt = Field(
        default=1, description="episodes in the task's simulator, of a task with `control`"
    )

    def problems(self, channels: Mapping[str, Any]) -> Problems:
        """Return names that are no state of the task."""
        states = [name for name, channel in channels.items() if channel.role == "state"]
        known = [name for name, one in channels.items() if one.role in ("state", "action")]
        found: Problems = []
        if self.energy:
            names = Expression(self.energy.formula).names
            found += _unknown(names, states, "state", ("energy", "formula"))
        if self.symmetry:
            found += _unknown(self.symmetry.flip, known, "channel", ("symmetry", "flip"))
            paired = [name for pair in self.symmetry.swap for name in pair]
            found += _unknown(paired, known, "channel", ("symmetry", "swap"))
        return found


def _unknown(names: Any, known: list[str], what: str, where: tuple[str, ...]) -> Problems:
    return [
        (where, f"{name!r} is no {what}; {nearest(name, known)}")
        for name in sorted(names)
        if name not in known
    ]
