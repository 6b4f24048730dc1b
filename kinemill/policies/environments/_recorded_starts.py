"""Episodes in a learned simulator that begin at recorded rows."""

from pathlib import Path

import numpy as np

from kinemill.dataset import find_dataset, packed_files, read_packed
from kinemill.errors import BadInput
from kinemill.policies.environments._controlled import Floats
from kinemill.runtime import Simulator, wrapped
from kinemill.store import Home, open_ref
from kinemill.task.document import Task
from kinemill.task.learn import DATASETS


def start_files(starts: str) -> list[Path]:
    """Return the files of the dataset that `RecordedStarts` reads.

    Raises:
        BadInput: There is no such version.
        CorruptArtifact: One of its files is missing or damaged.
    """
    return packed_files(_folder(starts))


def _folder(starts: str) -> Path:
    if not starts.startswith(DATASETS):
        return Path(starts)
    home = Home.resolve()
    return open_ref(home, find_dataset(home, starts).ref)


class RecordedStarts:
    """Rows of training episodes that episodes begin at, drawn with equal probability.

    Args:
        task: with the channels of the model.
        starts: `datasets:/TASK`, `datasets:/TASK/3`, or the folder of a copy.
        simulator: the model.

    Raises:
        BadInput: There is no such dataset, it is of other channels or of another time step, or its
            training episodes are shorter than the model's history.
    """

    def __init__(self, task: Task, starts: str, simulator: Simulator) -> None:
        dataset = read_packed(_folder(starts))
        where = f"environment.starts, the dataset of {dataset.task}"
        names = (dataset.states, dataset.actions)
        expected = (task.states, task.actions)
        if names != expected:
            raise BadInput(where, f"is of the channels {names}", expected=f"{expected}")
        if abs(dataset.dt - task.dt) > 1e-9:
            raise BadInput(where, f"has a step of {dataset.dt:g} s", expected=f"{task.dt:g} s")
        self._dataset = dataset
        self._angles = simulator.interface.is_angle
        self._states = len(task.states)
        # The action before the first state is that of the row before it.
        self._rows = simulator.history + 1
        self._firsts = dataset.window_starts("train", self._rows)
        if not len(self._firsts):
            problem = f"has no training episode of {self._rows} rows"
            fix = "record longer episodes, or use a model with a shorter history"
            raise BadInput(where, problem, fix=fix)

    def draw(self, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Return H states (H S,), and the action before each of them (H A,)."""
        first = int(self._firsts[random.integers(len(self._firsts))])
        rows = self._dataset.view(first, first + self._rows).astype(float)
        # Recorded angles are continuous, those of a simulator within ±π.
        states = wrapped(rows[1:, : self._states], self._angles)
        return states.reshape(-1), rows[:-1, self._states :].reshape(-1)
