"""Cross-validation of finalists, before one of them is selected.

A validation split of blocks contains parts of the training recordings. A model with many terms can
be the best there and still diverge on a new recording. The finalists are therefore fitted again
without some of the recordings, and measured on these. With one or two recordings a block can lack
what other rows show, such as a tank that overflows; then consecutive rows are left out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.dataset.scale import training_scale
from kinemill.errors import BadInput
from kinemill.selection.constants import (
    FINALISTS,
    FOLD_STEPS,
    FOLDS,
    LARGEST,
    QUICK_FOLDS,
    SMALLEST,
    TIE,
    WINDOWS,
)
from kinemill.selection.validation_errors import (
    CandidateErrors,
    ValidationRows,
    finite,
    mean_errors,
)
from kinemill.task.portfolio import CandidateResult

# Share of its rows from which and up to which an episode is held out, by id.
Parts = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Fold:
    """A dataset whose validation split is held out of a fit.

    Attributes:
        dataset: dataset with the held-out rows as its validation split.
        training_set: training set without these rows; None if no fit has them, because they are
            whole recordings of the validation split.
        rows: held-out rows for the measurement.
    """

    dataset: PackedDataset
    training_set: PackedDataset | None
    rows: ValidationRows


def folds_of(data: tuple[PackedDataset, PackedDataset], history: int, horizon: int) -> list[Fold]:
    """Return the folds; none if an episode is too short for a window.

    The validation split is the only fold, if it has `FOLDS` recordings or more that are not trained
    on; then no fit is repeated. Otherwise each fold leaves out a group of recordings, or with fewer
    recordings than folds as many consecutive training rows.

    Args:
        data: the dataset and its training set.
        history: most rows that any candidate needs before its first prediction.
        horizon: steps of the longest rollout over windows.
    """
    dataset, _ = data
    trained = {episode.recording for episode in dataset.of("train")}
    if len({episode.recording for episode in dataset.of("validation")} - trained) >= FOLDS:
        with suppress(BadInput):
            return [Fold(dataset, None, ValidationRows(dataset, history, horizon, FOLD_STEPS))]
        return []
    parts = _recordings(dataset) if len(trained) >= FOLDS else _consecutive_rows(dataset)
    return _folds(data, parts, history, horizon)


def left_out_rows(
    data: tuple[PackedDataset, PackedDataset], history: int, horizon: int
) -> tuple[list[Fold], str]:
    """Return rows that are left out of fits, and their name.

    They are the folds over all recordings but those of the test split, or over the rows of one or
    two recordings. Without a fold that is long enough they are the validation split, or else the
    training split itself.

    Raises:
        BadInput: No episode is long enough for one window.
    """
    dataset, training_set = data
    recordings = {episode.recording for episode in dataset.episodes if episode.split != "test"}
    parts = _recordings(dataset) if len(recordings) >= FOLDS else _consecutive_rows(dataset)
    what = "recordings" if len(recordings) >= FOLDS else "rows"
    if folds := _folds(data, parts, history, horizon):
        return folds, f"{what} that were left out of a fit, in {FOLDS} groups"
    for split in ("validation", "train"):
        with suppress(BadInput):
            rows = ValidationRows(dataset, history, horizon, FOLD_STEPS, split=split)
            return [Fold(dataset, training_set, rows)], f"rows of the {split} split"
    raise BadInput(
        f"dataset of {dataset.task}",
        f"no episode has {history + horizon} rows (a history of {history} + verify.horizon)",
        fix="lower verify.horizon, or add longer logs",
    )


def _recordings(dataset: PackedDataset) -> list[Parts]:
    """Return the episodes of training and validation, grouped by recording, for each fold."""
    episodes = [*dataset.of("train"), *dataset.of("validation")]
    names = sorted({episode.recording for episode in episodes})
    groups = [set(names[number::FOLDS]) for number in range(FOLDS)]
    return [
        {episode.id: (0.0, 1.0) for episode in episodes if episode.recording in group}
        for group in groups
    ]


def _consecutive_rows(dataset: PackedDataset) -> list[Parts]:
    """Return the part of each training episode that consecutive rows of a fold take."""
    parts = [Parts() for _ in range(FOLDS)]
    episodes = dataset.of("train")
    size = sum(episode.rows for episode in episodes) / FOLDS
    passed = 0
    for episode in episodes:
        for number, part in enumerate(parts):
            first, last = (
                min(max((edge * size - passed) / episode.rows, 0.0), 1.0)
                for edge in (number, number + 1)
            )
            if first < last:
                part[episode.id] = first, last
        passed += episode.rows
    return parts


def _folds(
    data: tuple[PackedDataset, PackedDataset], parts: Sequence[Parts], history: int, horizon: int
) -> list[Fold]:
    """Return the folds that hold out these parts; none if one is too short for a window."""
    try:
        return [_fold(*data, part, history, horizon) for part in parts]
    except BadInput:
        return []


def _fold(
    dataset: PackedDataset,
    training_set: PackedDataset,
    held_out: Parts,
    history: int,
    horizon: int,
) -> Fold:
    episodes = [
        part
        for episode in dataset.episodes
        if episode.split != "test"
        for part in _cut(episode, held_out, "validation")
    ]
    changed = replace(dataset, episodes=episodes)
    rest = [part for episode in training_set.of("train") for part in _cut(episode, held_out, "")]
    rest = [part for part in rest if part.split]
    # All folds count errors in the same unit.
    std = training_scale(dataset).std
    rows = ValidationRows(changed, history, horizon, FOLD_STEPS, std, windows=WINDOWS // FOLDS)
    return Fold(changed, replace(training_set, episodes=rest), rows)


def _cut(episode: PackedEpisode, held_out: Parts, split: str) -> list[PackedEpisode]:
    """Return the parts of an episode, the one that is held out in `split`, others in training.

    An augmented copy is cut where its original is: its id begins with that of the original.
    """
    first, last = held_out.get(episode.id.partition("+")[0], (0.0, 0.0))
    edges = [episode.start + round(share * episode.rows) for share in (0.0, first, last, 1.0)]
    splits = ("train", split, "train")
    return [
        replace(episode, split=label, start=begin, stop=end)
        for label, (begin, end) in zip(splits, pairwise(edges), strict=True)
        if begin < end
    ]


def leaves_out_rows(dataset: PackedDataset) -> bool:
    """Return whether folds leave out rows of few recordings, and no rows of the validation split.

    Folds of recordings leave out the blocks of the validation split too.
    """
    return len({episode.recording for episode in dataset.of("train")}) < FOLDS


def best_of_families(ordered: Iterable[CandidateResult]) -> list[CandidateResult]:
    """Return the best result of each family that has a score, in the order of all results."""
    best = dict[str, CandidateResult]()
    for result in ordered:
        if result.score is not None:
            best.setdefault(family_of(result.name), result)
    return list(best.values())


def family_of(candidate: str) -> str:
    """Return the family in the name of a candidate."""
    return candidate.partition(", history")[0]


def slow_finalists(
    families: Sequence[CandidateResult],
    held_out: Mapping[str, "HeldOut"],
    seconds: Mapping[str, float],
) -> list[CandidateResult]:
    """Return the families that are worth the time of their folds, after all quick ones.

    They are fitted in closed form, or better on the validation split than the quick family that is
    the best on left-out rows. The `FINALISTS` best follow, and those that no other result beats
    with fewer parameters: a simple model that is mediocre on the training recordings can be the
    best on a new recording. These simple models come first, then the others, by time.

    Args:
        families: best result of each family, the best first.
        held_out: errors on left-out rows of the best family and of the quick ones.
        seconds: time of each candidate by name, s.
    """
    bounded = [entry for entry in held_out.values() if entry.mean.score is not None]
    quick = [entry for entry in bounded if seconds[entry.result.name] < QUICK_FOLDS]
    best = min(quick, key=lambda entry: entry.mean.score or math.inf, default=None)
    rest = [
        result
        for result in families
        if result.name not in held_out
        and (result.round == 0 or best is None or _is_better(result, best.result))
    ]
    references = [*rest, *(entry.result for entry in bounded)]
    simple = [
        result
        for result in rest
        if not any(
            _is_better(reference, result) and reference.parameters < result.parameters
            for reference in references
        )
    ]
    selected = [
        result
        for result in rest
        if result.round == 0 or result in simple or result in rest[:FINALISTS]
    ]
    return sorted(selected, key=lambda result: (result not in simple, seconds[result.name]))


def _is_better(result: CandidateResult, reference: CandidateResult) -> bool:
    return (result.score or math.inf) < (reference.score or math.inf)


@dataclass(frozen=True)
class HeldOut:
    """Errors of a candidate on rows left out of its fits.

    Attributes:
        result: its result on the validation split.
        errors: errors on each recording that is left out, see `errors_by_recording`.
    """

    result: CandidateResult
    errors: Sequence[CandidateErrors]

    @cached_property
    def mean(self) -> CandidateResult:
        """The result with the mean errors over the recordings."""
        errors = mean_errors(self.errors)
        by_horizon = {steps: finite(error) for steps, error in errors.by_horizon.items()}
        free_run = finite(errors.free_run)
        score = finite(errors.score)
        return replace(self.result, errors=by_horizon, free_run=free_run, score=score)

    def is_as_good_as(self, reference: "HeldOut") -> bool:
        """Return whether it is worse than another candidate by no more than the noise.

        The mean over the recordings of the logarithm of their ratio is at most its standard error,
        for the score and for the error at each horizon: the rule of one standard error of Breiman
        et al. (1984), for paired differences. A ratio up to TIE is no difference.
        """
        if len(self.errors) < 2 or self.mean.score is None or reference.mean.score is None:
            return False
        ratios = np.log(_compared(self.errors)) - np.log(_compared(reference.errors))
        standard_error = ratios.std(axis=0, ddof=1) / math.sqrt(len(ratios))
        return bool((ratios.mean(axis=0) <= np.maximum(standard_error, math.log(TIE))).all())

    def after(self, trained: CandidateResult) -> "HeldOut":
        """Return the errors that are expected after a longer training.

        Args:
            trained: result on the validation split after the longer training.
        """
        expected = [projected(errors, self.result, trained) for errors in self.errors]
        return HeldOut(trained, expected)


def _compared(measured: Sequence[CandidateErrors]) -> NDArray[np.float64]:
    """Return the score, then the error at each horizon: (recordings, 1 + horizons)."""
    rows = [[errors.score, *errors.by_horizon.values()] for errors in measured]
    return np.clip(rows, SMALLEST, LARGEST)


def projected(
    held_out: CandidateErrors, short: CandidateResult, long: CandidateResult
) -> CandidateErrors:
    """Return the expected errors on new recordings after a longer training.

    A longer training fits the validation split better, whose recordings it has seen. What makes
    errors on new recordings larger than these, in mean squares, is assumed to stay as it is. With
    robot C.0 of docs/results-models.md, a network trained 5, 15 and 40 s has 0.031, 0.026 and 0.025
    there, and 0.078, 0.073 and 0.075 on new recordings.

    Args:
        held_out: errors on new recordings after a short training.
        short: errors on the validation split after the short training.
        long: errors on the validation split after the longer training.
    """

    def expected(error: float, earlier: float | None, later: float | None) -> float:
        if not (earlier and later):
            return math.inf
        if error <= earlier:
            return error * later / earlier
        return math.sqrt(error**2 - earlier**2 + later**2)

    earlier, later = (result.errors or {} for result in (short, long))
    by_horizon = {
        steps: expected(error, earlier.get(steps), later.get(steps))
        for steps, error in held_out.by_horizon.items()
    }
    return CandidateErrors(by_horizon, expected(held_out.free_run, short.free_run, long.free_run))
