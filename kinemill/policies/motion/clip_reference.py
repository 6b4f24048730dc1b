"""Clips as a reference motion: poses by time, for robots that track them in physics.

The phase of the longest clip runs from 0 to π, that of a shorter one ends earlier, so that all
advance at the same rate. A clip that is over keeps its last pose; one that loops starts again.

Symbols: B robots, J joints, E clips, C commands, T rows, φ phase, rad.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinemill.policies.environments.graph import clipped
from kinemill.policies.environments.kinds.legged import START_STD
from kinemill.policies.environments.legged.clips import COMMAND_UNITS, ClipPose, ClipTable, Pose
from kinemill.policies.environments.legged.robots import LeggedRobots
from kinemill.policies.motion.reference import Floats, Reference, Rows
from kinemill.runtime.policy_layout import PolicyLayout


class ClipReference(Reference):
    """The clips of an environment, by their commands.

    Args:
        table: the clips.
        tolerance: error of the joints at which the environment's reward is 1/e, rad.

    Attributes:
        phase_step: advance of the phase per row, rad.
        middle: mean joint angles of the clips, (J,), rad.
        clips: E.
        commands: (E, 3).
    """

    def __init__(self, table: ClipTable, tolerance: float) -> None:
        self._table = table
        self._tolerance = tolerance
        self.phase_step = float(np.pi / table.ends.max())
        self.middle = mean_pose(table)
        self.clips = len(table.ends)
        self.commands = table.commands

    def rows_of(self, commands: Sequence[Floats]) -> list[int]:
        """Return all rows: only the commands of clips select one."""
        del commands
        return list(range(self.clips))

    def at(self, phases: Floats, command_rows: Rows | list[int]) -> ClipPose:
        """Return poses at phases (B,) for clips (B,)."""
        return self._table.at(np.asarray(phases) / self.phase_step, command_rows)

    def advance(self, phases: Floats, command_rows: Rows) -> Floats:
        """Return the phases (B,), rad, one row later; those of clips that loop go around."""
        end = self._table.ends[command_rows] * self.phase_step
        later = phases + self.phase_step
        is_again = self._table.loops[command_rows] & (later > end - 0.5 * self.phase_step)
        return np.where(is_again, later - end, np.minimum(later, end))

    def next_rows(self, command_rows: Rows, random: np.random.Generator) -> Rows | None:
        """Return other clips than those of rows (B,)."""
        return (command_rows + random.integers(1, self.clips, len(command_rows))) % self.clips

    def after_change(self, phases: Floats) -> Floats:
        """Return the start of clips (B,)."""
        return np.zeros_like(phases)

    def can_change(self, phases: Floats, command_rows: Rows) -> NDArray[np.bool_]:
        """Return whether clips are over, or at the start of a repetition, (B,)."""
        is_at_start = self._table.loops[command_rows] & (phases < 0.5 * self.phase_step)
        return is_at_start | self.is_over(phases, command_rows)

    def draw_phases(self, random: np.random.Generator, command_rows: Rows | list[int]) -> Floats:
        """Return random phases (B,), rad, of clips (B,), before their last row."""
        ends = self._table.ends[command_rows]
        return random.uniform(0.0, 1.0, len(ends)) * (ends - 1) * self.phase_step

    def begin(
        self,
        robots: LeggedRobots,
        rows: Rows,
        command_rows: Rows,
        inside: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> Floats:
        """Start some robots in poses of clips, the others of them at the start of a clip."""
        phase = np.where(inside, self.draw_phases(random, command_rows), 0.0)
        pose = self.at(phase, command_rows)
        noise = random.normal(0.0, START_STD, pose.joints.shape)
        robots.begin_clip(rows, self.commands[command_rows], pose, noise)
        return phase

    def task_reward(self, robots: LeggedRobots, pose: Pose) -> Floats:
        """Return the environment's reward, 0 to 1, (B,): that of the joints."""
        return np.exp(-np.square(robots.joint_error(pose) / self._tolerance))

    def has_ended(self, robots: LeggedRobots, pose: Pose) -> NDArray[np.bool_]:
        """Return whether each robot has left its clip, (B,)."""
        return robots.has_left(pose)

    def is_over(self, phases: Floats, command_rows: Rows) -> NDArray[np.bool_]:
        """Return whether clips (B,) are over at phases (B,), (B,)."""
        rows = np.round(phases / self.phase_step)
        return (rows >= self._table.ends[command_rows]) & ~self._table.loops[command_rows]

    def is_success(self, robots: LeggedRobots, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return whether robots lasted to the end of their clips."""
        del robots
        return ~ended


class ClipFamily(nn.Module):
    """The clips as a part of an exported policy; a latent (B, 1) is the index of a clip.

    Args:
        layout: observations and actions of the policy.
        clips: E.
        rows: T.
    """

    table: Tensor
    commands: Tensor
    ends: Tensor
    loops: Tensor
    mean: Tensor
    phase_step: Tensor
    low: Tensor
    high: Tensor
    units: Tensor

    def __init__(self, layout: PolicyLayout, clips: int, rows: int) -> None:
        super().__init__()
        joints = len(layout.actions)
        shapes = {
            "table": (clips, rows, joints), "commands": (clips, 3), "ends": (clips,),
            "loops": (clips,), "mean": (1, joints), "phase_step": (),
        }  # fmt: skip
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        limits = [layout.limits.get(name, (-1e9, 1e9)) for name in layout.actions]
        self.register_buffer("low", torch.tensor([low for low, _ in limits]))
        self.register_buffer("high", torch.tensor([high for _, high in limits]))
        self.register_buffer("units", torch.tensor(COMMAND_UNITS))

    def load_clips(self, table: ClipTable) -> None:
        """Set the buffers from clips."""
        values = {
            "table": table.joints, "commands": table.commands, "ends": table.ends,
            "loops": table.loops, "mean": mean_pose(table)[None],
            "phase_step": np.pi / table.ends.max(),
        }  # fmt: skip
        for name, value in values.items():
            self.get_buffer(name).copy_(torch.as_tensor(np.asarray(value, np.float32)))

    def expected_latent(self, command: Tensor) -> Tensor:
        """Return the clip (B, 1) whose command is nearest to commands (B, 3)."""
        apart = (command.unsqueeze(1) - self.commands) / self.units
        return apart.square().sum(dim=2).argmin(dim=1, keepdim=True).to(command.dtype)

    def phase_of(self, joints: Tensor, latent: Tensor) -> Tensor:
        """Return 0 (B, 1), the phase of a clip's first row."""
        del latent
        return 0.0 * joints[:, :1]

    def select_latent(self, command: Tensor, phase: Tensor, motion: Tensor) -> Tensor:
        """Return the clip (B, 1) that commands (B, 3) select once the present one may end.

        A clip may end at its last row, or at the start of a repetition. A jump of the targets
        within a clip makes robots fall.
        """
        present = torch.where(motion > 0.5, motion - 1.0, 0.0)
        clip = present.long()[:, 0]
        end = (self.ends[clip] * self.phase_step).unsqueeze(1)
        is_at_start = phase < 0.5 * self.phase_step
        is_over = phase > end - 0.5 * self.phase_step
        is_loop = self.loops[clip].unsqueeze(1) > 0.5
        # Not where: ONNX Runtime selects no booleans.
        may_end = (is_loop & is_at_start) | (~is_loop & is_over) | (motion < 0.5)
        return torch.where(may_end, self.expected_latent(command), present)

    def tracked_command(self, command: Tensor, latent: Tensor) -> Tensor:
        """Return the commands (B, 3) of clips (B, 1); NaN in a command stays NaN."""
        return self.commands[latent.long()[:, 0]] + 0.0 * command

    def motion_of(self, latent: Tensor, motion: Tensor) -> Tensor:
        """Return 1 + the index of the clip (B, 1): another clip starts at its first row."""
        return 1.0 + latent + 0.0 * motion

    def advance(self, phase: Tensor, latent: Tensor) -> Tensor:
        """Return the phases (B, 1), rad, one row later, at most that of the clip's end."""
        clip = latent.long()[:, 0]
        end = (self.ends[clip] * self.phase_step).unsqueeze(1)
        phase = phase + self.phase_step
        # Half a row: sums of float32 miss the end by rounding.
        wrapped = torch.where(phase > end - 0.5 * self.phase_step, phase - end, phase)
        at_end = torch.where(phase > end, end, phase)
        return torch.where(self.loops[clip].unsqueeze(1) > 0.5, wrapped, at_end)

    def curve(self, phase: Tensor, latent: Tensor) -> Tensor:
        """Return joint angles of clips (B, 1) at phases (B, T): (B, T, J), rad."""
        last = self.ends[latent.long()] - 1.0
        spot = phase / self.phase_step
        # Not clamp: NaN has to stay NaN, but not in the index.
        lower = torch.where(spot > 0.0, spot.floor(), 0.0)
        lower = torch.where(lower > last, last, lower)
        share = spot - lower
        share = torch.where(share > 1.0, 1.0, share).unsqueeze(2)
        rows = latent.long() * self.table.shape[1] + lower.long()
        flat = self.table.flatten(0, 1)
        return flat[rows] * (1.0 - share) + flat[rows + 1] * share

    def bounded_targets(self, joints: Tensor) -> Tensor:
        """Return targets (B, J) within limits, rad."""
        return clipped(joints, self.low, self.high)


def mean_pose(table: ClipTable) -> Floats:
    """Return the mean joint angles of clips, (J,), rad."""
    rows = [table.joints[index, : end + 1] for index, end in enumerate(table.ends)]
    return np.concatenate(rows).mean(axis=0)
