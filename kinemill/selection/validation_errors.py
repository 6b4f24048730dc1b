"""Score of dynamics models on the validation split, for the portfolio and for `model tune`.

With the errors e in standard deviations of `kinemill.runtime.window_metrics`, the error at step t
is the mean over windows of sqrt(mean over states of e[w, t, s]²), and that of a free run is the
root mean square over all steps of whole episodes. The score is the geometric mean of the errors at
1 step, a fifth of the horizon, the horizon, and in free run, without unit.

Symbols: M models, W windows, E episodes, H history, T horizon, S states, M' states that move in
training.
"""

import math
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import training_range, training_scale
from kinemill.dataset.windows import batches, gather, is_angle, whole_episodes
from kinemill.errors import BadInput
from kinemill.runtime.window_metrics import (
    QUIETLY,
    Floats,
    Predictor,
    Windows,
    deviations,
    evenly_spaced,
    in_std,
    is_moving,
)
from kinemill.selection.constants import (
    BOUND,
    EPISODES,
    FLAT,
    GROSS,
    LARGEST,
    LONGEST,
    NOISE,
    NOISE_WEIGHT,
    SKILL,
    SMALLEST,
    WINDOWS,
)
from kinemill.store.numbers import Diverging
from kinemill.task.portfolio import CandidateResult
from kinemill.train.loop import Objective, batches_of
from kinemill.train.time_limit import check_time

BATCH = 4096  # windows of all models per rollout batch
PROBE = 20  # most steps of the measurement of time


@dataclass(frozen=True)
class CandidateErrors:
    """Errors of rollouts, in standard deviations of the training split.

    Attributes:
        by_horizon: error at each horizon by steps: the root mean square over the states of a
            window, averaged over windows. States that are noise have the weight NOISE_WEIGHT. With
            a mean of squares, a few windows with faults, or near an unstable equilibrium, would
            decide between otherwise equal candidates.
        free_run: error over whole episodes; infinite if a state leaves `BOUND`.
    """

    by_horizon: dict[int, Diverging]
    free_run: Diverging

    @property
    def stays_bounded(self) -> bool:
        """Whether all rollouts stay finite and within bounds, see `BOUND`."""
        return math.isfinite(self.free_run) and all(map(math.isfinite, self.by_horizon.values()))

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


def errors_in(result: CandidateResult) -> CandidateErrors:
    """Return the errors of a result; what is not finite is infinite."""
    by_horizon = {
        steps: math.inf if error is None else error
        for steps, error in (result.errors or {}).items()
    }
    return CandidateErrors(by_horizon, math.inf if result.free_run is None else result.free_run)


def counted(free_run: float) -> float:
    """Return a free-run error, or SKILL for one between SKILL and GROSS.

    Errors in that range show no skill, and their differences are random.
    """
    return SKILL if SKILL < free_run <= GROSS else free_run


class ModulePredictor:
    """A dynamics model in torch as a predictor that starts from measured rows.

    Args:
        module: a `train.step.Step` or an ensemble; derived states are estimated, as at run time.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self.history: int = module.rows

    @torch.no_grad()
    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> NDArray[np.float32]:
        """Predict T steps: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S), in units."""
        *history, following = (
            torch.from_numpy(rows.astype(np.float32)) for rows in (states, past_actions, actions)
        )
        return self._module.rollout(*self._module.estimate_history(*history), following).numpy()


class ValidationRows:
    """Windows and whole episodes of the validation split, the same for all candidates.

    Args:
        dataset: the packed dataset.
        history: most rows that any candidate needs before its first prediction.
        horizon: steps of the longest rollout over windows.
        longest: most steps of the free run over a whole episode.
        std: divisor of errors, (S,), in units; None: `training_scale` of the dataset.
        split: split of the rows.
        windows: most windows.

    Raises:
        BadInput: No episode of the split is long enough for one window.
    """

    def __init__(
        self,
        dataset: PackedDataset,
        history: int,
        horizon: int,
        longest: int = LONGEST,
        std: Floats | None = None,
        split: str = "validation",
        windows: int = WINDOWS,
    ) -> None:
        starts = dataset.window_starts(split, history + horizon)
        if len(starts) == 0:
            raise BadInput(
                f"{split} split of {dataset.task}",
                f"no episode has {history + horizon} rows (a history of {history} + "
                "verify.horizon)",
                fix="lower verify.horizon, add longer logs, or raise dataset.validation",
            )
        self._dataset = dataset
        self._history = history
        self._horizon = horizon
        self._longest = longest
        self._starts = evenly_spaced(starts, windows)
        self._std = training_scale(dataset).std if std is None else std
        self._angle = is_angle(dataset)
        low, high = (ends[: len(dataset.states)] for ends in training_range(dataset))
        ranges = np.where(self._angle, math.inf, high - low)
        moves = is_moving(self._std)
        self._bound = BOUND * ranges[moves] / self._std[moves]
        self._moving_states = list(compress(dataset.states, is_moving(self._std)))
        self._weights = np.ones(len(self._moving_states))
        episodes = [packed for packed in dataset.of(split) if packed.rows > history]
        self._episodes = sorted(episodes, key=lambda episode: -episode.rows)[:EPISODES]

    @property
    def horizons(self) -> tuple[int, ...]:
        """Horizons of the errors, steps: one, a fifth of the longest, the longest."""
        return tuple(sorted({1, max(1, self._horizon // 5), self._horizon}))

    @property
    def noise(self) -> list[str]:
        """States whose squared errors have the weight NOISE_WEIGHT, see `find_noise`."""
        return list(compress(self._moving_states, self._weights < 1.0))

    def set_noise(self, states: Collection[str]) -> None:
        """Give the squared errors of some states the weight NOISE_WEIGHT, and all others 1.

        If all states are named, all have the weight 1.
        """
        is_noise = np.array([name in states for name in self._moving_states], dtype=bool)
        self._weights = np.where(is_noise & ~is_noise.all(), NOISE_WEIGHT, 1.0)

    def find_noise(self, module: Any) -> list[str]:
        """Return the states that are noise to a model: their errors are large and do not grow.

        Args:
            module: as in `errors_of`; a simple model.
        """
        sizes = np.zeros((self._horizon, len(self._moving_states)))
        for errors in self._window_errors(ModulePredictor(module), 1, self._starts):
            sizes += np.abs(errors[0]).sum(axis=0)
        # Of a normal distribution: the deviation, from the mean size.
        first, last = (sizes * math.sqrt(math.pi / 2.0) / len(self._starts))[[0, -1]]
        return list(compress(self._moving_states, (first >= NOISE) & (first >= FLAT * last)))

    def errors_of(self, module: Any) -> CandidateErrors:
        """Return the errors of a dynamics model, see `ModulePredictor`.

        Raises:
            OutOfTime: The time limit is over.
        """
        return self.measure(ModulePredictor(module))[0]

    @QUIETLY
    def measure(
        self, predictor: Predictor, copies: int = 1, stride: int = 1, *, free_run: bool = True
    ) -> list[CandidateErrors]:
        """Return the errors of M models that run as one batch, model by model.

        Args:
            predictor: all models in one; it predicts M · W windows.
            copies: number of models, M.
            stride: use every n-th window.
            free_run: whether to measure free runs; without them, their error is 1.

        Raises:
            OutOfTime: The time limit is over.
        """
        starts = self._starts[::stride]
        sizes = self._window_sizes(predictor, copies, starts)
        check_time()
        runs = self._run_squares(predictor, copies) if free_run else [None] * copies
        return [self._errors_in(*parts) for parts in zip(sizes, runs, strict=True)]

    @QUIETLY
    def errors_by_recording(self, module: Any) -> list[CandidateErrors]:
        """Return the errors of a dynamics model on each recording with a window and a free run.

        Rows of other recordings are counted with these in turn. See `errors_of`.

        Raises:
            OutOfTime: The time limit is over.
        """
        predictor = ModulePredictor(module)
        (sizes,) = self._window_sizes(predictor, 1, self._starts)
        (squares,) = self._run_squares(predictor, 1)
        windows = self._recordings_at(self._starts)
        runs = np.array([episode.recording for episode in self._episodes])
        names = sorted({*windows} & {*runs})
        if not names:
            return [self._errors_in(sizes, squares)]
        windows, runs = (_shared_out(recordings, names) for recordings in (windows, runs))
        return [self._errors_in(sizes[windows == name], squares[runs == name]) for name in names]

    def _recordings_at(self, starts: NDArray[np.int64]) -> NDArray[np.str_]:
        """Return the recording of each window."""
        episodes = sorted(self._dataset.episodes, key=lambda episode: episode.start)
        first = [episode.start for episode in episodes]
        names = np.array([episode.recording for episode in episodes])
        return names[np.searchsorted(first, starts, side="right") - 1]

    def _errors_in(self, sizes: Floats, squares: Floats | None) -> CandidateErrors:
        """Return the mean errors of windows, (W, T), and of free runs, (E, T); 1 without these."""
        mean = sizes.mean(axis=0)
        run = 1.0 if squares is None else math.sqrt(np.nanmean(squares))
        return CandidateErrors({steps: float(mean[steps - 1]) for steps in self.horizons}, run)

    def _window_sizes(self, predictor: Predictor, copies: int, starts: NDArray[np.int64]) -> Floats:
        """Return the root mean square over the states of the errors of windows, (M, W, T)."""
        errors = self._window_errors(predictor, copies, starts)
        return np.concatenate([np.sqrt(self._mean_square(part)) for part in errors], axis=1)

    def _window_errors(
        self, predictor: Predictor, copies: int, starts: NDArray[np.int64]
    ) -> Iterator[Floats]:
        """Yield the errors of windows in standard deviations, (M, W, T, M')."""
        for batch in batches(starts, max(1, BATCH // copies)):
            check_time()
            windows = gather(self._dataset, batch, self._history, self._horizon)
            yield self._errors(predictor, windows, copies)

    def _run_squares(self, predictor: Predictor, copies: int) -> Floats:
        """Return the mean squares over the states in free runs over whole episodes, (M, E, T).

        They are infinite where a state leaves its bound, and NaN after the end of an episode. All
        models are compared after the longest history. A model with a shorter one starts in the rows
        before too: the start of a motion from rest can be unlike all others.
        """
        errors, is_padding = self._free_run(predictor, copies, self._history, self._longest)
        squares = np.where(self._is_bounded(errors), self._mean_square(errors), math.inf)
        if predictor.history < self._history:
            start, padding = self._free_run(predictor, copies, predictor.history, self._history)
            stays = np.all(self._is_bounded(start) | padding, axis=2, keepdims=True)
            squares = np.where(stays, squares, math.inf)
        return np.where(is_padding, math.nan, squares)

    def _free_run(
        self, predictor: Predictor, copies: int, history: int, longest: int
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Return errors in standard deviations, (M, E, T, M'), and where episodes ended, (E, T)."""
        windows, steps = whole_episodes(self._dataset, self._episodes, history, longest)
        errors = self._errors(predictor, windows, copies)
        return errors, np.arange(errors.shape[2]) >= steps[:, None]

    def _is_bounded(self, errors: Floats) -> NDArray[np.bool_]:
        """Return whether all states are within their bounds, (..., M') -> (...); false for NaN."""
        return np.asarray((np.abs(errors) <= self._bound).all(axis=-1))

    def _errors(self, predictor: Predictor, windows: Windows, copies: int) -> Floats:
        """Return errors in standard deviations, (M, W, T, M')."""
        tiled = windows if copies == 1 else windows.tiled(copies)
        errors = in_std(deviations(predictor, tiled, self._angle), self._std)
        return np.reshape(errors, (copies, len(windows.states), *errors.shape[1:]))

    def _mean_square(self, errors: Floats) -> Floats:
        """Return the weighted mean of the squares over the states, (..., M') -> (...)."""
        return np.asarray(errors**2 @ self._weights / self._weights.sum())


def _shared_out(recordings: NDArray[np.str_], names: Sequence[str]) -> NDArray[np.str_]:
    """Return recordings, those that are not in `names` replaced by names in turn."""
    turn = np.resize(np.array(names), len(recordings))
    return np.where(np.isin(recordings, names), recordings, turn)


def mean_errors(errors: Sequence[CandidateErrors]) -> CandidateErrors:
    """Return the mean errors over folds or recordings; infinite where one is not finite."""
    steps = errors[0].by_horizon
    by_horizon = {step: _mean([error.by_horizon[step] for error in errors]) for step in steps}
    return CandidateErrors(by_horizon, _mean([error.free_run for error in errors]))


def _mean(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return mean if math.isfinite(mean) else math.inf


def step_seconds(
    module: torch.nn.Module, objective: Objective, learn: Any, seconds: float
) -> float:
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


def measured(
    empty: CandidateResult, module: torch.nn.Module, errors: CandidateErrors
) -> CandidateResult:
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
    return "not finite" if score is None else f"{score:.3g}"


def finite(value: float) -> float | None:
    """Return the value, None if it is not finite."""
    return value if math.isfinite(value) else None
