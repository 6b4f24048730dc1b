"""The `verify` part of a task file: verification of the exported model."""

from collections.abc import Mapping
from typing import Literal

from kinemill.task.bounds import CountOrZero, Ratio, RowCount
from kinemill.task.channels import Channel
from kinemill.task.expressions import Expression, Formula
from kinemill.task.plugins import Settings
from kinemill.task.settings import Problems, unknown_names


class Energy(Settings):
    """Energy check: a quantity that must not grow without input."""

    formula: Formula
    """formula of states, in any unit, such as `0.5 * velocity**2 - 9.81 * cos(angle)`; friction can
    only reduce it"""
    within: Ratio = 0.05
    """largest growth over verify.horizon, relative to the energy's standard deviation"""


class Symmetry(Settings):
    """Mirror symmetry of the robot: mirroring commutes with simulation."""

    flip: list[str] = []
    """channels whose sign is inverted"""
    swap: list[tuple[str, str]] = []
    """pairs of channels that are swapped"""
    within: Ratio = 0.1
    """largest root mean square difference, in standard deviations"""


class Verify(Settings):
    """Settings of the verification of the exported model."""

    horizon: RowCount = 25
    """length of the rollouts whose errors are measured, steps of `dt`"""
    stride: RowCount = 5
    """steps of `dt` between the starts of two rollouts"""
    latency_p99_ms: Ratio | None = None
    """largest 99th percentile of the time of a rollout, or of a policy's action, ms, the best of
    five blocks of 1,000 calls; default: no check"""
    energy: Energy | None = None
    """energy that must not grow without input; default: no check"""
    symmetry: Symmetry | None = None
    """mirror symmetry of the robot; default: no check"""
    providers: list[Literal["cuda", "tensorrt"]] = []
    """execution providers of ONNX Runtime on which a dynamics model must be in parity; default:
    CUDA where it is available"""
    closed_loop: CountOrZero = 1
    """closed-loop episodes in the task's simulator, for a task with `control`"""

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: names that are not states or channels of the task."""
        states = [name for name, channel in channels.items() if channel.role == "state"]
        channel_names = [
            name for name, channel in channels.items() if channel.role in ("state", "action")
        ]
        errors: Problems = []
        if self.energy:
            names = sorted(Expression(self.energy.formula).names)
            errors += unknown_names(names, states, "state", "energy", "formula")
        if self.symmetry:
            flipped = self.symmetry.flip
            errors += unknown_names(flipped, channel_names, "channel", "symmetry", "flip")
            paired = [name for pair in self.symmetry.swap for name in pair]
            errors += unknown_names(paired, channel_names, "channel", "symmetry", "swap")
        return errors
