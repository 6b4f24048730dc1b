"""Cross-validation of finalists over whole recordings, before one of them is selected.

A validation split of blocks contains parts of the training recordings. A model with many terms can
be the best there and still diverge on a new recording. The finalists are therefore fitted again
without some of the recordings, and measured on these.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.task.portfolio import CandidateResult
from kinemill.train.portfolio.measurement import finite
from kinemill.train.portfolio.validation_errors import CandidateErrors, ValidationRows

FOLDS = 3  # groups of recordings, each held out once
STEPS = 250  # length of free runs; longer ones would take most of the time over all folds
FINALISTS = 6  # families whose best member is a finalist
QUICK = 2.0  # s; faster families are always finalists, because their folds cost little time


@dataclass(frozen=True)
class Fold:
    """A dataset whose validation split is a group of whole recordings."""

    dataset: PackedDataset
    training_set: PackedDataset
    rows: ValidationRows


def folds_of(data: tuple[PackedDataset, PackedDataset], history: int, horizon: int) -> list[Fold]:
    """Return the folds; none if the validation split has whole recordings, or with too few.

    Args:
        data: the dataset and its training set.
        history: most rows that any candidate needs before its first prediction.
        horizon: steps of the longest rollout over windows.
    """
    dataset, training_set = data
    trained = {one.recording for one in dataset.of("train")}
    held_out = {one.recording for one in dataset.of("validation")}
    if len(trained) < FOLDS or held_out - trained:
        return []
    names = sorted(trained)
    try:
        return [
            _fold(dataset, training_set, set(names[number::FOLDS]), (history, horizon))
            for number in range(FOLDS)
        ]
    except BadInput:  # a recording is too short for one window
        return []


def _fold(
    dataset: PackedDataset, training_set: PackedDataset, names: set[str], size: tuple[int, int]
) -> Fold:
    episodes = [one for one in dataset.episodes if one.split != "test"]
    own = [
        replace(one, split="validation" if one.recording in names else "train") for one in episodes
    ]
    changed = replace(dataset, episodes=own)
    rest = [one for one in training_set.of("train") if one.recording not in names]
    return Fold(
        changed, replace(training_set, episodes=rest), ValidationRows(changed, *size, STEPS)
    )


def finalists(
    ordered: Sequence[CandidateResult], seconds: Mapping[str, float]
) -> list[CandidateResult]:
    """Return the best member of the first families and of all quick families.

    The best result is first, the others are in order of their time. A simple model that is mediocre
    on the training recordings can be the best on a new one.

    Args:
        ordered: all results, the best first.
        seconds: time of each candidate by name, s.
    """

    def is_quick(one: CandidateResult) -> bool:
        return seconds[one.name] < QUICK

    best = dict[str, CandidateResult]()
    for one in ordered:
        if one.score is not None:
            best.setdefault(one.name.partition(", history")[0], one)
    first, *others = best.values()
    others = [*others[: FINALISTS - 1], *(o for o in others[FINALISTS - 1 :] if is_quick(o))]
    return [first, *sorted(others, key=lambda one: seconds[one.name])]


def averaged(result: CandidateResult, errors: Sequence[CandidateErrors]) -> CandidateResult:
    """Return a result with the mean of its errors over the folds."""
    steps = list(errors[0].by_horizon)
    by_horizon = {one: _mean([each.by_horizon[one] for each in errors]) for one in steps}
    free_run = _mean([each.free_run for each in errors])
    return _with(result, CandidateErrors(by_horizon, free_run))


def projected(
    held_out: CandidateResult, short: CandidateResult, long: CandidateResult
) -> CandidateResult:
    """Return the expected errors on new recordings after a longer training.

    They are assumed to change by the same factors as the errors on the validation split.

    Args:
        held_out: errors on new recordings after a short training.
        short: errors on the validation split after the short training.
        long: errors on the validation split after the longer training.
    """

    def scaled(error: float | None, earlier: float | None, later: float | None) -> float:
        return error * later / earlier if error and earlier and later else math.inf

    errors, earlier, later = (one.errors or {} for one in (held_out, short, long))
    by_horizon = {
        steps: scaled(error, earlier.get(steps), later.get(steps))
        for steps, error in errors.items()
    }
    free_run = scaled(held_out.free_run, short.free_run, long.free_run)
    return _with(long, CandidateErrors(by_horizon, free_run))


def _with(result: CandidateResult, errors: CandidateErrors) -> CandidateResult:
    by_horizon = {steps: finite(error) for steps, error in errors.by_horizon.items()}
    return replace(
        result,
        errors=by_horizon,
        free_run=finite(errors.free_run),
        score=finite(errors.score),
    )


def _mean(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return mean if math.isfinite(mean) else math.inf
