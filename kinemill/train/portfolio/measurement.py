"""Measurements of a candidate: the time of a step, its errors and its size."""

import math
import time
from dataclasses import replace
from typing import Any

from kinemill.task.portfolio import CandidateResult
from kinemill.train.loop import Objective, batches_of
from kinemill.train.portfolio.validation_errors import CandidateErrors

PROBE = 20  # most steps of the measurement


def step_seconds(module: Any, objective: Objective, learn: Any, seconds: float) -> float:
    """Return the time of one training step without the optimizer, s, measured within `seconds`."""
    batches, began, each = batches_of(objective, learn), time.monotonic(), 0.0
    for step in range(PROBE):
        started = time.monotonic()
        objective.loss(batches.at(step), step).backward()
        now = time.monotonic()
        each = now - started if step == 0 else min(each, now - started)  # first calls are slower
        if now - began > seconds:
            break
    module.zero_grad()
    return each


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
