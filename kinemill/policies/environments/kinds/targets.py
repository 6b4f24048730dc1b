"""Three colored targets and an instruction that names one, to be found in the image.

Positions and colors are drawn for each episode. Observations are the tool's position and velocity,
an image and the instruction; only the image shows the targets.
"""

from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from kinemill.policies.environments._raster import Bar, Color, Disc
from kinemill.policies.environments.evaluation import Agent
from kinemill.policies.environments.gym_types import Env
from kinemill.policies.environments.kinds._gantry import Gantry, toward
from kinemill.policies.environments.kinds._planar import Vector
from kinemill.task import KINDS, Environment, Pixels, Task, Width

COLORS: dict[str, Color] = {
    "red": (0.85, 0.15, 0.15),
    "green": (0.15, 0.65, 0.2),
    "blue": (0.15, 0.3, 0.85),
}
SAYINGS = ("reach the {} target", "go to the {} one", "move to {}", "please touch the {} target")
AREA = 0.36
APART = 0.22
RADIUS = 0.06
NEAR = 0.06
STEPS_NEAR = 4  # m; m; m; m; rows
SPEED = 0.4  # m/s


@KINDS.register("targets")
class Targets(Environment):
    """A plane with colored targets of which an instruction names one; for images and texts."""

    type: Literal["targets"] = "targets"
    pixels: Pixels = 64
    """height and width of the image, pixels"""
    text_bytes: Width = 64
    """length of the instruction, bytes"""

    def make(self, task: Task, *, render: bool = False) -> Env:
        """Return the environment."""
        sizes = self.pixels, self.text_bytes
        return TargetsPlane(sizes, max(1, round(task.dt / 0.01)), render=render)

    def expert(self, environment: Any) -> Agent:
        """Return an expert that knows the target positions."""
        return Informed(environment.unwrapped)


class TargetsPlane(Gantry):
    """Observes numbers, the image `camera` and the text `instruction`."""

    observation_names: ClassVar[tuple[str, ...]] = ("x", "y", "x_rate", "y_rate")

    def __init__(self, sizes: tuple[int, int], substeps: int, *, render: bool) -> None:
        super().__init__(substeps, render=render)
        self.pixels, self.letters = sizes
        self.targets: Vector = np.zeros((3, 2))
        self.named = 0
        self.instruction = ""
        self._steps_near = [0, 0, 0]
        self.observation_space = Dict(
            {
                "observation": Box(-np.inf, np.inf, (4,), np.float32),
                "camera": Box(0, 255, (self.pixels, self.pixels, 3), np.uint8),
                "instruction": Box(0, 255, (self.letters,), np.uint8),
            }
        )

    def begin(self, random: np.random.Generator) -> Vector:
        """Draw places for three targets, which one is named, and the words for it."""
        self._steps_near = [0, 0, 0]
        self.targets = _apart(random)
        self.named = int(random.integers(3))
        color = list(COLORS)[self.named]
        self.instruction = SAYINGS[int(random.integers(len(SAYINGS)))].format(color)
        return random.uniform(-0.05, 0.05, 2)

    def observe(self) -> dict[str, NDArray[np.generic]]:
        """Return numbers (4,), a picture (H, W, 3) and letters (L,)."""
        letters = np.frombuffer(self.instruction.encode()[: self.letters], np.uint8)
        return {
            "observation": self.numbers(),
            "camera": self.picture(self.pixels),
            "instruction": np.pad(letters, (0, self.letters - len(letters))),
        }

    def evaluate(self) -> tuple[float, bool, bool]:
        """To stay at a target is to choose it, the named one or another."""
        away = np.linalg.norm(self.targets - self.position, axis=1)
        self._steps_near = [
            n + 1 if near else 0 for n, near in zip(self._steps_near, away < NEAR, strict=True)
        ]
        reached = [target for target, rows in enumerate(self._steps_near) if rows >= STEPS_NEAR]
        return -float(away[self.named]), bool(reached), self.named in reached

    def shapes(self) -> list[Disc | Bar]:
        """Return the targets and the tool."""
        discs = [
            Disc((target[0], target[1]), RADIUS, color)
            for target, color in zip(self.targets, COLORS.values(), strict=True)
        ]
        return [*discs, self.tool()]


class Informed:
    """The expert: moves straight to the named target, whose position it knows."""

    def __init__(self, plane: TargetsPlane) -> None:
        self._plane = plane

    def reset(self, seed: int) -> None:
        """Begin an episode; nothing is drawn."""

    def act(self, observation: object) -> NDArray[np.float32]:
        """Return velocities (2,), m/s."""
        del observation
        plane = self._plane
        return toward(plane.position, plane.targets[plane.named], SPEED)


def _apart(random: np.random.Generator) -> NDArray[np.float64]:
    """Draw three places that are apart from each other and from the middle, (3, 2) m."""
    while True:
        targets = random.uniform(-AREA, AREA, (3, 2))
        all_of_them = np.concatenate([targets, np.zeros((1, 2))])
        away = np.linalg.norm(all_of_them[:, None] - all_of_them, axis=-1)
        if away[np.triu_indices(4, 1)].min() > APART:
            return targets
