"""Overfitting and underfitting in the learning curves of a training run.

The rules use v, the validation error over rollouts, and t, the training loss. Both count from the
step at which the horizon and the share of true states in the input no longer change. "Last" is the
median of the last fifth of the evaluations, at least three, and "before" is the median of as many
evaluations before them. With fewer than eight evaluations there is no result.

- over-fitted: v fell to its best and then rose, last v >= 1.1 best v, while t continued to fall,
  last t <= 0.95 t around the best.
- under-fitted, stopped too early: v still fell, last v <= 0.9 before v, with its best among the
  last evaluations, and t fell, last t <= 0.95 before t.
- under-fitted, too small: the training error, the root of t, is above half a standard deviation of
  the channels (a quarter of their variance is not explained) and no longer falls,
  last t >= 0.95 before t, and v is not much larger, last v <= 1.2 times the root of t.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median

from kinemill.reports.charts import number
from kinemill.store import Json, read_json
from kinemill.train.warm_start import CURVES, described
from kinemill.verify.results import FitDiagnosis

VALIDATION = "validation/multi_step"
TRAINING = "train/loss"
LEAST = 8  # smallest number of evaluations that give a result
TAIL = 3  # smallest number of evaluations for a median
RISE = 1.1
FALL = 0.95
STEEP = 0.9
HIGH = 0.5
NEAR = 1.2

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class _Course:
    """Medians of the curves: at the end, before it, and around the best evaluation."""

    best_step: int
    last_step: int
    best: float
    last: float
    previous: float
    best_is_late: bool
    train_at_best: float
    train_last: float
    train_before: float


def fitting_of(curves: Json, learn: Json) -> FitDiagnosis | None:
    """Return whether a training run over- or under-fitted; None if its curves show neither.

    Args:
        curves: history.json, with points [step, value] by name.
        learn: settings as JSON; `horizon_schedule`, `teacher_forcing` and `loss` change the
            interpretation of the curves.
    """
    changing = [
        (learn.get(part) or {}).get("steps", 0) for part in ("horizon_schedule", "teacher_forcing")
    ]
    course = _course(curves, since=max(changing))
    if course is None:
        return None
    return _over(course) or _early(course) or _unable(course, learn)


def fitting_in(model: Path) -> FitDiagnosis | None:
    """Return the result of `fitting_of` for a model folder; None if it has no training curves."""
    if not (model / CURVES).is_file():
        return None
    return fitting_of(read_json(model / CURVES), described(model)["learn"])


def fitting_section(diagnosis: FitDiagnosis | None) -> str:
    """Return the section with the result as HTML; empty without a result."""
    if diagnosis is None:
        return ""
    return (
        f"<h2>The training {escape(diagnosis.verdict)}</h2><p>The learning curves show it: "
        f"{escape(diagnosis.text)}. Suggestions: {escape(diagnosis.fix)}.</p>"
    )


def _points(curves: Json, name: str, since: int) -> Points:
    return [
        (step, value) for step, value in curves.get(name, []) if step > since and value is not None
    ]


def _course(curves: Json, since: int) -> _Course | None:
    validation, trained = (_points(curves, name, since) for name in (VALIDATION, TRAINING))
    count = len(validation)
    size = max(TAIL, count // 5)
    if count < max(LEAST, 2 * size) or not trained:
        return None
    best_index = min(range(count), key=lambda index: validation[index][1])
    steps = [step for step, _ in validation]
    # Training steps from one evaluation to the next; `_between` excludes the start of a span.
    ends = (steps[-2 * size - 1] if count > 2 * size else since, steps[-size - 1], steps[-1])
    around = (steps[max(0, best_index - size + 1)] - 1 if best_index else since, steps[best_index])
    train = [_between(trained, *span) for span in ((ends[0], ends[1]), (ends[1], ends[2]), around)]
    if None in train:
        return None
    train_before, last, at_best = (value for value in train if value is not None)
    return _Course(
        best_step=steps[best_index],
        last_step=steps[-1],
        best=validation[best_index][1],
        last=median(value for _, value in validation[-size:]),
        previous=median(value for _, value in validation[-2 * size : -size]),
        best_is_late=best_index >= count - size,
        train_at_best=at_best,
        train_last=last,
        train_before=train_before,
    )


def _between(points: Points, after: int, until: int) -> float | None:
    values = [value for step, value in points if after < step <= until]
    return median(values) if values else None


def _fell(earlier: float, later: float) -> bool:
    """Return whether a loss fell by 5 % of its absolute value; likelihoods can be negative."""
    return later <= earlier - (1.0 - FALL) * abs(earlier)


def _over(course: _Course) -> FitDiagnosis | None:
    rose = not course.best_is_late and course.last >= RISE * course.best
    if not rose or not _fell(course.train_at_best, course.train_last):
        return None
    return FitDiagnosis(
        "over-fitted",
        f"the validation error rose by {course.last / course.best - 1:.0%}, from "
        f"{number(course.best)} at step {course.best_step} to {number(course.last)} at step "
        f"{course.last_step}, while the training loss continued to fall from "
        f"{number(course.train_at_best)} to {number(course.train_last)}; the published weights are "
        f"those of step {course.best_step}",
        "more logs, or more varied ones; augment, learn.noise, a smaller model, more weight_decay "
        "or dropout; fewer learn.steps, without a loss of accuracy",
    )


def _early(course: _Course) -> FitDiagnosis | None:
    falls = course.best_is_late and course.last <= STEEP * course.previous
    if not falls or not _fell(course.train_before, course.train_last):
        return None
    return FitDiagnosis(
        "under-fitted",
        f"it was still learning when it stopped at step {course.last_step}: over the last fifth "
        f"the validation error fell by {1 - course.last / course.previous:.0%}, to "
        f"{number(course.last)}, and the training loss from {number(course.train_before)} to "
        f"{number(course.train_last)}",
        "more learn.steps, or a higher learn.optimizer.lr",
    )


def _unable(course: _Course, learn: Mapping[str, object]) -> FitDiagnosis | None:
    if learn.get("loss", "squared") != "squared" or course.train_last <= 0.0:
        return None
    error = math.sqrt(course.train_last)
    stuck = not _fell(course.train_before, course.train_last)
    if error < HIGH or not stuck or course.last > NEAR * error:
        return None
    return FitDiagnosis(
        "under-fitted",
        f"the error on the training windows stays at {number(error)} standard deviations of a "
        f"channel, close to the validation error of {number(course.last)}",
        "a larger model, a longer learn.history, more steps; or additional channels in the logs",
    )
