"""What the gate looks at itself: models measured on the test split, and served as robots do it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kinemill.dataset import PackedDataset, load_dataset
from kinemill.dataset import find_version as find_dataset
from kinemill.errors import BadInput
from kinemill.home import Home
from kinemill.register.metric import error_of
from kinemill.register.rules import Measured, Repeated
from kinemill.register.serving import ask, serve_policy
from kinemill.runtime import load
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.windows import Windows
from kinemill.spec import Task
from kinemill.store import Ref, summary_of
from kinemill.verify import Errors, evaluate
from kinemill.verify.accuracy import gather, window_starts

PATIENCE = 60.0  # s that a model may take to load and answer
SPLIT = "test"
_STEPS = 25  # that a model is asked for where no task says how many
_TOLERANCE = 1e-5  # of the largest answer; the same arithmetic in two processes
_ANSWER = """
import sys
import numpy as np
from kinemill.runtime import load
folder, asked, answered = sys.argv[1:]
with np.load(asked) as given:
    feed = [given[name] for name in ("states", "past_actions", "actions")]
np.save(answered, load(folder).rollout(*feed))
"""


@dataclass(frozen=True)
class Duel:
    """Two models on the same windows; the second one and the interval of the ratio may lack."""

    challenger: Measured
    champion: Measured | None = None
    interval: tuple[float, float] = (math.nan, math.nan)


# From the folder of a bundle to whether it loads and answers, and what came of it.
Serve = Callable[[Path], tuple[bool, str]]


class Evidence(Protocol):
    """Where the gate's own numbers come from."""

    def measure(self, challenger: Any, champion: Any | None = None) -> Duel:
        """Measure a loaded model, and another one on the same windows.

        Raises:
            BadInput: they cannot be measured on this test split.
        """
        ...

    def serve(self, folder: Path) -> tuple[bool, str]:
        """Tell whether the bundle in `folder` loads and answers in a fresh process, and how."""
        ...

    def age(self) -> float:
        """Return how long ago the dataset was made, s."""
        ...

    def repeated(self) -> Repeated:
        """Return how much of validation and test repeats the training rows."""
        ...


@dataclass(frozen=True)
class TestSplit:
    """Evidence from the test split of the dataset that the challenger learned from."""

    __test__ = False  # none of pytest's

    task: Task
    home: Home
    dataset: Ref

    def measure(self, challenger: Any, champion: Any | None = None) -> Duel:
        """Measure on all windows of the test split, from as late as the longer history starts."""
        models = [challenger] if champion is None else [challenger, champion]
        history = max(model.history for model in models)
        found = [self._errors(model, history) for model in models]
        channel = self.task.promote.channel
        measured = [measured_of(errors, self._rows, channel) for errors in found]
        if champion is None:
            return Duel(measured[0])
        ratio = found[0].against(found[1], channel)
        return Duel(measured[0], measured[1], (ratio.low, ratio.high))

    def serve(self, folder: Path) -> tuple[bool, str]:
        """Load the bundle in a process of its own and ask it about the first test window."""
        wanted = self.task.verify
        simulator = load(folder)
        try:
            rows = simulator.history + wanted.horizon
            starts = window_starts(self._rows, SPLIT, rows, wanted.stride)[:1]
        except BadInput:
            return serve_still(folder)  # no test episode is long enough, which is not its fault
        return serve(folder, gather(self._rows, starts, simulator.history, wanted.horizon))

    def age(self) -> float:
        """Return how long ago the dataset version was entered into the catalogue, s."""
        made = find_dataset(self.home, self.task.name, self.dataset.digest).created
        return time.time() - datetime.fromisoformat(made).timestamp()

    def repeated(self) -> Repeated:
        """Return what the dataset version states."""
        return repeated_in(self.home, self.dataset)

    @cached_property
    def _rows(self) -> PackedDataset:
        return load_dataset(self.home, self.dataset)

    def _errors(self, model: Any, history: int) -> Errors:
        wanted = self.task.verify
        return evaluate(model, self._rows, SPLIT, wanted.horizon, wanted.stride, history)


def repeated_in(home: Home, dataset: Ref) -> Repeated:
    """Return how much of validation and test of a dataset repeats its training rows."""
    found: dict[str, dict[str, float]] | None = summary_of(home, dataset).get("independence")
    if found is None:
        return Repeated()
    return Repeated(**found["test"], validation=sum(found["validation"].values()))


def measured_of(errors: Errors, dataset: PackedDataset, channel: str | None = None) -> Measured:
    """Return what the gate wants to know of errors; a model that diverges errs infinitely."""
    first_rows = np.sort([episode.start for episode in dataset.of(SPLIT)])
    return Measured(
        error=error_of(errors, channel),
        channels=dict(zip(errors.channels, errors.rmse.tolist(), strict=True)),
        windows=len(errors.starts),
        episodes=len(np.unique(np.searchsorted(first_rows, errors.starts, side="right"))),
    )


def serve_still(folder: Path) -> tuple[bool, str]:
    """Have a fresh process load a bundle and answer where all is 0, for which no data is needed."""
    if (folder / POLICY).is_file():
        return serve_policy(folder, PATIENCE)
    simulator = load(folder)
    history, states, actions = simulator.history, len(simulator.states), len(simulator.actions)
    still = Windows(
        states=np.zeros((1, history, states)),
        past_actions=np.zeros((1, history - 1, actions)),
        actions=np.zeros((1, _STEPS, actions)),
        truth=np.zeros((1, _STEPS, states)),
    )
    return serve(folder, still)


def serve(folder: Path, windows: Windows) -> tuple[bool, str]:
    """Have a fresh process load the bundle in `folder` and roll it out over windows.

    It answers well if every number is finite and the one that this process gets.
    """
    feed = windows.states, windows.past_actions, windows.actions
    names = ("states", "past_actions", "actions")
    found, told = ask(_ANSWER, folder, dict(zip(names, feed, strict=True)), PATIENCE)
    if found is None:
        return False, told
    expected = load(folder, non_finite="pass").rollout(*feed)
    if not np.isfinite(found).all():
        return False, "answers with what is not finite"
    allowed = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if found.shape != expected.shape or not float(np.abs(found - expected).max()) <= allowed:
        return False, "answers otherwise than in this process"
    return True, f"answered {found.shape[1]} steps"
