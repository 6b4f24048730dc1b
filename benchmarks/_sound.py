"""Correct models whose float32 rounding errors differ much from those of a small network.

Linear and polynomial models of many lags, fitted to data sampled much faster than the robot moves,
are sums of large terms that cancel. Coordinates at 1e4 standard deviations from zero leave three
digits in float32. Stiff robots depend on small differences of large numbers, and unstable ones
amplify rounding errors. None of this is a fault of an export.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.runtime.interface import Dtype
from kinemill.task.document import Task
from kinemill.task.export import Export as ExportSettings
from kinemill.task.verify import Verify
from kinemill.train.data import make_windows
from kinemill.train.layout import layout_of
from kinemill.train.objectives._dynamics_setup import fit_network
from kinemill.train.scaling import scale_of
from kinemill.train.step import make_step
from kinemill.verify.checklist import Gate
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.verifier import run_checks
from tests.dataset.packing import packed_of

Rows = NDArray[np.float64]
Simulate = Callable[[int, np.random.Generator], Rows]
SPLITS = (("train", 3, 400), ("validation", 1, 300), ("test", 3, 300))
DT = 0.002  # s


@dataclass(frozen=True)
class Robot:
    """A synthetic robot.

    Attributes:
        name: of the task.
        states: names of its states; `simulate` gives them in this order, then the force.
        simulate: (rows, random) -> (rows, S + 1).
    """

    name: str
    states: tuple[str, ...]
    simulate: Simulate

    @property
    def channels(self) -> dict[str, dict[str, Any]]:
        """Its channels as in a task file."""
        return {name: {"role": "state", "unit": "m"} for name in self.states} | {
            "force": {"role": "action", "unit": "N"}
        }

    def task(self, model: Mapping[str, Any], history: int) -> Task:
        """Return its task with this model."""
        learn = {"type": "dynamics", "model": {**model}, "history": history, "horizon": 2}
        settings = {"task": self.name, "dt": DT, "channels": self.channels, "learn": learn}
        return Task.model_validate(settings)

    @cached_property
    def dataset(self) -> PackedDataset:
        """Three training, one validation and three test episodes."""
        random = np.random.default_rng(0)
        # The statistics are those of the stored rows.
        runs = {
            split: [self.simulate(rows, random).astype(np.float32).astype(float) for _ in range(n)]
            for split, n, rows in SPLITS
        }
        return packed_of(self.name, DT, self.channels, runs)

    def fitted(self, model: Mapping[str, Any], history: int) -> Any:
        """Return the step of a model that is fitted in closed form."""
        task = self.task(model, history)
        layout = layout_of(task)
        learn: Any = task.learn
        step = make_step(learn.model, layout, scale_of(self.dataset, layout)).eval()
        windows = make_windows(self.dataset, "train", layout, 1)
        fit_network(step, windows, torch.arange(len(windows)))
        return step

    def description(self) -> dict[str, Any]:
        """Return what `model.json` says of its models."""
        names = [*self.states, "force"]
        units = self.dataset.units
        limits = dict.fromkeys(names)
        return {"task": self.name, "dataset": "d" * 64, "units": units, "limits": limits}


def _forces(rows: int, random: np.random.Generator, hold: int = 10) -> Rows:
    return np.repeat(random.uniform(-1.0, 1.0, rows // hold + 1), hold)[:rows]


def _linear(matrix: Rows, gain: Rows, sensors: Rows) -> Simulate:
    """Return x' = A x + B u (1/s), seen through C, sampled exactly; the force is held."""
    size = len(matrix)
    whole = np.zeros((size + 1, size + 1))
    whole[:size, :size], whole[:size, size] = matrix * DT, gain * DT
    step = torch.linalg.matrix_exp(torch.from_numpy(whole)).numpy()

    def simulate(rows: int, random: np.random.Generator) -> Rows:
        state, rows_out = np.zeros(size), np.zeros((rows, len(sensors) + 1))
        for index, force in enumerate(_forces(rows, random)):
            rows_out[index] = *(sensors @ state), force
            state = step[:size, :size] @ state + step[:size, size] * force
        return rows_out

    return simulate


def structure(sensors: int = 3, modes: int = 9) -> Robot:
    """Return a lightly damped structure: accelerations at some places, one force at another."""
    random = np.random.default_rng(1)
    stiffness = (2 * np.pi * np.linspace(3.0, 30.0, modes)) ** 2
    damping = 0.02 * np.sqrt(stiffness)
    still, whole = np.zeros((modes, modes)), np.eye(modes)
    matrix = np.block([[still, whole], [np.diag(-stiffness), np.diag(-damping)]])
    gain = np.concatenate([np.zeros(modes), random.uniform(0.5, 1.0, modes)])
    sensor_matrix = random.uniform(-1.0, 1.0, (sensors, modes)) @ matrix[modes:]
    names = tuple(f"a{index}" for index in range(sensors))
    return Robot("structure", names, _linear(matrix, gain, sensor_matrix))


def axis() -> Robot:
    """Return a positioning drive: motor and load on a soft shaft, seen by their positions."""
    k, motor, load = 900.0, 1.0, 0.5
    matrix = np.zeros((4, 4))
    matrix[0, 2] = matrix[1, 3] = 1.0
    matrix[2] = -k / motor - 1.0, k / motor, -2.0, 0.5
    matrix[3] = k / load, -k / load, 0.5, -2.0
    gain = np.array([0.0, 0.0, 50.0, 0.0])
    return Robot("axis", ("motor", "load"), _linear(matrix, gain, np.eye(4)[:2]))


def stiff() -> Robot:
    """Return two masses on a spring a thousand times as fast as what moves them."""
    k = 2e5
    matrix = np.zeros((4, 4))
    matrix[0, 2] = matrix[1, 3] = 1.0
    matrix[2] = -k - 4.0, k, -400.0, 390.0
    matrix[3] = k, -k - 4.0, 390.0, -400.0
    gain = np.array([0.0, 0.0, 50.0, 0.0])
    return Robot("stiff", ("p1", "p2", "v1", "v2"), _linear(matrix, gain, np.eye(4)))


def far(offset: float = 1e4) -> Robot:
    """Return the positioning drive `offset` spreads from where its coordinates count from."""
    near = axis().simulate

    def simulate(rows: int, random: np.random.Generator) -> Rows:
        rows_out = near(rows, random)
        return rows_out + np.array([offset, offset, 0.0]) * FAR_SPREAD

    return Robot("far", ("motor", "load"), simulate)


FAR_SPREAD = 1.0  # m, about the spread of the positions of `axis`


SENSED = 1e-3  # noise of the tilt, of a spread of about 1


def unstable(gain: float = 1.5) -> Robot:
    """Return a robot that a controller keeps from falling: x grows `growth`-fold a step without."""

    def simulate(rows: int, random: np.random.Generator) -> Rows:
        state, rows_out = 0.0, np.zeros((rows, 2))
        for index, push in enumerate(_forces(rows, random)):
            force = push - (gain - 0.5) * state
            rows_out[index] = state + SENSED * random.standard_normal(), force
            state = gain * state + force
        return rows_out

    return Robot("unstable", ("tilt",), simulate)


@dataclass(frozen=True)
class Sound:
    """One sound model.

    Attributes:
        title: in tables.
        robot: what it is fitted to.
        model: its settings.
        history: its lags.
        loses: whether float32 loses more than matters, which the line `precision` has to say.
    """

    title: str
    robot: Robot
    model: Mapping[str, Any]
    history: int
    loses: bool = False

    def step(self) -> Any:
        """Return it, fitted."""
        return self.robot.fitted(self.model, self.history)

    def verdict(self, folder: Path, precision: Dtype = "float32") -> list[Gate]:
        """Export it to an empty folder, and return the lines of the verdict."""
        step = self.step()
        interface = describe(self.robot.description(), step)
        settings = ExportSettings(precision=precision)
        write_model(step, interface, folder, settings, self.robot.dataset)
        rows = self.robot.dataset
        return run_checks(DynamicsSubject(folder, step, rows, Verify(), interface)).gates


def sound_models() -> Sequence[Sound]:
    """Return all of them: twelve of many lags, then offsets, stiff and unstable ones."""
    models, exact = list[Sound](), {"type": "linear", "ridge": 0.0}
    for robot in (axis(), structure(), structure(1, 6)):
        for history in (20, 40, 80, 120):
            title = f"linear, {history} lags, {len(robot.states)} states of {robot.name}"
            loses = len(robot.states) == 1 and history <= 40
            models.append(Sound(title, robot, exact, history, loses))
    polynomial = {"type": "polynomial", "degree": 2, "rows": 2, "ridge": 1e-16}
    for history in (20, 40, 80, 120):
        models.append(Sound(f"polynomial, {history} lags", structure(), polynomial, history))
    for history in (1, 4, 20):
        title = f"1e4 spreads from zero, {history} lags"
        models.append(Sound(title, far(), exact, history, loses=history == 4))
    models += [
        Sound("stiff", stiff(), exact, 1),
        Sound("stiff, 10 lags", stiff(), exact, 10),
        Sound("unstable, 1.2 a step", unstable(1.2), exact, 1),
        Sound("unstable, 1.6 a step", unstable(1.6), exact, 1),
        Sound("unstable, 1.6 a step, 10 lags", unstable(1.6), exact, 10),
    ]
    return models
