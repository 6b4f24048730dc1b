"""Measurements of candidates: errors over the same rows of the validation split, time and size.

Symbols: W windows, E episodes, H history, T horizon, S states.
"""

import math
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.runtime.window_metrics import evenly_spaced
from kinemill.task.portfolio import CandidateResult
from kinemill.train.data import Windows
from kinemill.train.loop import Objective, batches_of
from kinemill.train.time_limit import check_time

WINDOWS = 1024  # evenly spaced; more windows change the error little
BATCH = 512  # windows per rollout batch
EPISODES = 8
LONGEST = 1000  # whole episodes of the free run, and their steps
# Errors of free runs between these have no skill, as in the gate: their differences are random.
SKILL = 0.8
GROSS = 2.4
SMALLEST = 1e-6
LARGEST = 10.0  # bounds of an error, in standard deviations
# A state is noise to a model if its error after one step is at least NOISE standard deviations, and
# at least FLAT of its error at the longest horizon.
NOISE = 0.5
FLAT = 0.7
NOISE_WEIGHT = 0.01  # of a squared error of such a state; it would hide the errors of all others
PROBE = 20  # most steps of the measurement of time


@dataclass(frozen=True)
class CandidateErrors:
    """Errors of rollouts, in standard deviations of the training split.

    Attributes:
        by_horizon: error at each horizon by steps: the root mean square over the states of a
            window, averaged over windows. States that are noise have the weight NOISE_WEIGHT. With
            a mean of squares, a few windows with faults, or near an unstable equilibrium, would
            decide between otherwise equal candidates.
        free_run: error over whole episodes; infinite if a rollout leaves all bounds.
    """

    by_horizon: dict[int, float]
    free_run: float

    @property
    def score(self) -> float:
        """Geometric mean of all errors, the smaller the better; infinite if one is not finite.

        A geometric mean weighs a factor of two equally at every horizon, so that small errors of
        one step count as much as large errors of long rollouts. Free runs of unstable or chaotic
        robots drift apart: errors between `SKILL` and `GROSS` count equally.
        """
        if not all(map(math.isfinite, self.by_horizon.values())):
            return math.inf
        errors = [*self.by_horizon.values(), counted(self.free_run)]
        errors = np.clip(errors, SMALLEST, LARGEST)
        return float(np.exp(np.log(errors).mean()))


def counted(free_run: float) -> float:
    """Return a free-run error, or SKILL for one between SKILL and GROSS.

    Errors in that range show no skill, and their differences are random.
    """
    return SKILL if SKILL < free_run <= GROSS else free_run


class ValidationRows:
    """Windows and whole episodes of the validation split, the same for all candidates.

    Args:
        dataset: the packed dataset.
        history: most rows that any candidate needs before its first prediction.
        horizon: steps of the longest rollout over windows.
        longest: most steps of the free run over a whole episode.

    Raises:
        BadInput: No validation episode is long enough for one window.
    """

    def __init__(
        self, dataset: PackedDataset, history: int, horizon: int, longest: int = LONGEST
    ) -> None:
        count = len(dataset.states)
        starts = dataset.window_starts("validation", history + horizon)
        if len(starts) == 0:
            raise BadInput(
                f"validation split of {dataset.task}",
                f"no episode has {history + horizon} rows (a history of {history} + "
                "verify.horizon)",
                fix="lower verify.horizon, add longer logs, or raise dataset.validation",
            )
        starts = evenly_spaced(starts, WINDOWS)
        self._history = history
        self._horizon = horizon
        self._longest = longest
        values = torch.from_numpy(dataset.copy_values())
        self._windows = Windows(
            values, torch.from_numpy(np.asarray(starts)), history, horizon, count
        )
        self._std = torch.from_numpy(np.where(dataset.std > SMALLEST, dataset.std, 1.0)[:count])
        self._variable = torch.from_numpy(dataset.std[:count] > SMALLEST)
        self._states = dataset.states
        self._weights = torch.ones(int(self._variable.sum()), dtype=torch.float64)
        self._angles = [dataset.states.index(name) for name in dataset.angles]
        episodes = [packed for packed in dataset.of("validation") if packed.rows > history]
        self._episodes = sorted(episodes, key=lambda episode: -episode.rows)[:EPISODES]

    @property
    def horizons(self) -> tuple[int, ...]:
        """Horizons of the errors, steps: one, a fifth of the longest, the longest."""
        return tuple(sorted({1, max(1, self._horizon // 5), self._horizon}))

    @property
    def noise(self) -> list[str]:
        """States whose squared errors have the weight NOISE_WEIGHT, see `find_noise`."""
        names = np.array(self._states)[self._variable.numpy()]
        return names[(self._weights < 1.0).numpy()].tolist()

    def set_noise(self, states: Collection[str]) -> None:
        """Give the squared errors of some states the weight NOISE_WEIGHT, and all others 1.

        If all states are named, all have the weight 1.
        """
        is_noise = torch.tensor([name in states for name in self._states])[self._variable]
        self._weights = torch.where(is_noise & ~is_noise.all(), NOISE_WEIGHT, 1.0).double()

    @torch.no_grad()
    def find_noise(self, module: Any) -> list[str]:
        """Return the states that are noise to a model: their errors are large and do not grow.

        Args:
            module: as in `errors_of`; a simple model.
        """
        sums = torch.zeros(len(self._states), self._horizon, dtype=torch.float64)
        for squares in self._squares_of_windows(module):
            sums += squares.sqrt().sum(0).T
        # Of a normal distribution: the deviation, from the mean size.
        first, last = (sums * math.sqrt(math.pi / 2.0) / len(self._windows))[:, [0, -1]].T
        is_noise = (first >= NOISE) & (first >= FLAT * last)
        return [name for name, noisy in zip(self._states, is_noise.tolist(), strict=True) if noisy]

    @torch.no_grad()
    def errors_of(self, module: Any) -> CandidateErrors:
        """Return the errors of a dynamics model.

        Args:
            module: a `train.step.Step` or an ensemble. Rollouts start from measured states;
                derived states are estimated.

        Raises:
            OutOfTime: The time limit is over.
        """
        sums = torch.zeros(self._horizon, dtype=torch.float64)
        for squares in self._squares_of_windows(module):
            sums += self._mean(squares).sqrt().sum(0)
        check_time()
        means = (sums / len(self._windows)).tolist()
        by_horizon = {steps: means[steps - 1] for steps in self.horizons}
        return CandidateErrors(by_horizon, self._free_run(module))

    def _squares_of_windows(self, module: Any) -> Iterator[Tensor]:
        """Yield the squared errors (batch, T, S) of the windows."""
        late = self._history - module.rows
        for part in torch.arange(len(self._windows)).split(BATCH):
            check_time()
            states, past, actions, truth = self._windows.gather(part)
            start = module.estimate_history(states[:, late:], past[:, late:])
            yield self._squares(module.rollout(*start, actions), truth)

    def _mean(self, squares: Tensor) -> Tensor:
        """Return the weighted mean over the states that vary, the last dimension."""
        return (squares[..., self._variable] * self._weights).sum(-1) / self._weights.sum()

    def _free_run(self, module: Any) -> float:
        """Return the RMS error of rollouts over whole episodes, computed as one batch."""
        steps = [min(episode.rows - self._history, self._longest) for episode in self._episodes]
        offsets = torch.arange(self._history + max(steps))
        index = torch.stack(
            [(episode.start + offsets).clamp(max=episode.stop - 1) for episode in self._episodes]
        )
        rows = self._windows.values[index]
        count = len(self._std)
        states = rows[..., :count]
        actions = rows[..., count:]
        first = self._history - module.rows
        start = module.estimate_history(
            states[:, first : self._history], actions[:, first : self._history - 1]
        )
        predicted = module.rollout(*start, actions[:, self._history - 1 : -1])
        squares = self._squares(predicted, states[:, self._history :])
        inside = torch.arange(squares.shape[1]) < torch.tensor(steps).unsqueeze(1)  # no padding
        return _root(self._mean(squares[inside]).mean())

    def _squares(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """Return squared errors, float64, in squared standard deviations; angles are wrapped."""
        missed = (predicted - truth).double()
        turns = missed[..., self._angles] / (2.0 * math.pi)
        missed[..., self._angles] = 2.0 * math.pi * (turns - turns.round())
        return (missed / self._std).square()


def _root(mean: Tensor) -> float:
    value = float(mean)
    return math.sqrt(value) if math.isfinite(value) else math.inf


def step_seconds(module: Any, objective: Objective, learn: Any, seconds: float) -> float:
    """Return the shortest time of a loss and its gradient, s, in at most PROBE steps.

    The measurement ends after the step that exceeds `seconds`.
    """
    batches = batches_of(objective, learn)
    began = time.monotonic()
    best = 0.0
    for step in range(PROBE):
        started = time.monotonic()
        objective.loss(batches.at(step), step).backward()
        now = time.monotonic()
        best = now - started if step == 0 else min(best, now - started)  # first calls are slower
        if now - began > seconds:
            break
    module.zero_grad()
    return best


def measured(empty: CandidateResult, module: Any, errors: CandidateErrors) -> CandidateResult:
    """Return a result with the errors and the number of parameters of a module."""
    return replace(
        empty,
        parameters=sum(value.numel() for value in module.parameters()),
        errors={steps: finite(error) for steps, error in errors.by_horizon.items()},
        free_run=finite(errors.free_run),
        score=finite(errors.score),
    )


def score_text(score: float | None) -> str:
    """Return a score as text."""
    return "not finite" if score is None else f"{score:.4g}"


def finite(value: float) -> float | None:
    """Return the value, None if it is not finite."""
    return value if math.isfinite(value) else None
