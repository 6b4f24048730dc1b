"""Gaits as tables over their phase, for walkers that track them in physics.

Symbols: B rows, J leg joints, C commands, φ phase, rad.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.environments.kinds._walkers import height_of, leveled, soles
from kinemill.motion.gait_policy import GaitPolicy

Floats = NDArray[np.floating]

_FINE = 4096  # rows of a cycle, between which a curve is taken as straight: off by 1e-6 rad
_LIFT = 0.002  # m that a foot is above the other at which it bears 1/e of what the other does
_SMOOTH = 0.06  # share of a cycle over which the trunk's velocity is averaged


@dataclass(frozen=True)
class Pose:
    """Gaits at some phases.

    Attributes:
        joints: (B, J) rad.
        rates: (B, J) rad/s.
        feet: (B, 2, 3) centers of the soles from the trunk, along the level ground, m.
        height: (B,) of the trunk, m.
        moving: (B, 2) velocity of the trunk along its heading and across, m/s.
    """

    joints: Floats
    rates: Floats
    feet: Floats
    height: Floats
    moving: Floats


class Reference:
    """The gaits of a family, by command.

    Args:
        family: on the CPU.
        commands: those of the clips, (E, 3): m/s, m/s, rad/s.

    Attributes:
        pace: rad by which the phase grows in a row.
        middle: joint angles about which the gaits swing, (J,), rad.
        clips: E.
        commands: (C, 3), those of the clips first.
    """

    def __init__(self, family: GaitPolicy, commands: Floats) -> None:
        self._family = family
        known = {name: value.double().numpy() for name, value in family.named_buffers()}
        self._mean, self._directions = known["mean"], known["directions"]
        self._harmonics = np.arange(1, (family.sizes.terms + 1) // 2)
        self.pace, self.middle = float(known["pace"]), known["mean"][0]
        self._dt = family.layout.dt
        self.clips = len(commands)
        self.commands = np.zeros((0, 3))
        self._numbers: dict[bytes, int] = {}
        self._table = np.zeros((0, _FINE + 1, 2 * len(self.middle) + 9))
        for command in commands:
            self.number(command, anew=True)

    def number(self, command: Floats, *, anew: bool = False) -> int:
        """Return the row of a command (3,) in `commands`, where it is put if need be."""
        key = np.asarray(command, np.float32).tobytes()
        if anew or key not in self._numbers:
            self._numbers.setdefault(key, len(self.commands))
            self.commands = np.concatenate([self.commands, np.asarray(command, float)[None]])
            self._table = np.concatenate([self._table, self._cycle(command)[None]])
        return self._numbers[key]

    def _place(self, command: Floats) -> Any:
        told = torch.as_tensor(np.asarray(command, np.float32)).unsqueeze(0)
        return self._family.expected(told)

    def _cycle(self, command: Floats) -> Floats:
        """Return a cycle, closed: joints, rates, feet, height, velocity, (_FINE + 1, columns)."""
        at = self._place(command)[0].double().numpy()
        series = self._mean + np.einsum("r,rfj->fj", at, self._directions)
        turned = np.linspace(0.0, 2.0 * np.pi, _FINE + 1)[:, None] * self._harmonics
        waves = np.concatenate([np.cos(turned), np.sin(turned)], axis=1)
        slopes = [-self._harmonics * np.sin(turned), self._harmonics * np.cos(turned)]
        joints = series[0] + waves @ series[1:]
        rates = np.concatenate(slopes, axis=1) @ series[1:] * self.pace / self._dt
        feet = leveled(soles(joints).mean(axis=-2))
        moving = self._moving(feet, command)
        columns = (joints, rates, feet.reshape(len(feet), 6), height_of(joints)[:, None], moving)
        return np.concatenate(columns, axis=1)

    def _moving(self, feet: Floats, command: Floats) -> Floats:
        """Return the velocity at which the foot that bears the trunk stays where it is, (., 2)."""
        cycle = feet[:-1]
        seconds = 2.0 * np.pi / self.pace * self._dt / len(cycle)
        speed = (np.roll(cycle, -1, axis=0) - np.roll(cycle, 1, axis=0)) / (2.0 * seconds)
        turned = np.stack([-cycle[..., 1], cycle[..., 0]], axis=-1) * command[2]
        bears = np.exp(-(cycle[..., 2] - cycle[..., 2].min(axis=1, keepdims=True)) / _LIFT)
        bears = bears / bears.sum(axis=1, keepdims=True)
        found = -((speed[..., :2] + turned) * bears[..., None]).sum(axis=1)
        width = int(_SMOOTH * len(cycle)) // 2
        whole = np.concatenate([found[-width:], found, found[:width]]).cumsum(axis=0)
        smooth = (whole[2 * width :] - np.pad(whole, ((1, 0), (0, 0)))[: -2 * width - 1]) / (
            2 * width + 1
        )
        smooth += command[:2] - smooth.mean(axis=0)
        return np.concatenate([smooth, smooth[:1]])

    def at(self, phases: Floats, which: Any) -> Pose:
        """Return gaits at phases (B,), by rows (B,) of `commands`."""
        spots = np.asarray(phases) / (2.0 * np.pi) % 1.0 * _FINE
        rows = spots.astype(np.intp)
        share = (spots - rows)[:, None]
        found = self._table[which, rows] * (1.0 - share) + self._table[which, rows + 1] * share
        count = len(self.middle)
        return Pose(
            joints=found[:, :count],
            rates=found[:, count : 2 * count],
            feet=found[:, 2 * count : 2 * count + 6].reshape(-1, 2, 3),
            height=found[:, -3],
            moving=found[:, -2:],
        )

    def nearest(self, joints: Floats, command: Floats) -> float:
        """Return the phase that explains joints (J,) best under a command (3,), rad."""
        given = torch.as_tensor(np.asarray(joints, np.float32)).unsqueeze(0)
        return float(self._family.phase_of(given, self._place(command)))
