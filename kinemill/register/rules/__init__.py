"""Gate rules, one file each: what a challenger must show to become champion.

A rule is a function from a `Contest` to its verdicts: none when the task does not ask for it, one
for each thing it compares. A pass is always a comparison that holds, never the absence of one that
fails, so that a NaN passes nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kinemill.registry import Registry
from kinemill.spec import Task

Value = str | float


@dataclass(frozen=True)
class Verdict:
    """One line of a decision: what was asked, what was found, and whether it is enough."""

    rule: str
    passed: bool
    found: Value
    wanted: Value

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON object."""
        return {
            "rule": self.rule,
            "passed": self.passed,
            "found": self.found,
            "wanted": self.wanted,
        }


@dataclass(frozen=True)
class Champion:
    """The reigning champion, measured on the challenger's own test split.

    Attributes:
        version: its version in the registry.
        error: its `promote.metric`, or None when it could not be measured.
        problem: why it could not be measured, for a person to read.
        same: whether it is the very model that challenges it.
    """

    version: int
    error: float | None = None
    problem: str | None = None
    same: bool = False


@dataclass(frozen=True)
class Contest:
    """What rules judge: the task's wishes, the challenger's verification, the champion."""

    task: Task
    verification: dict[str, Any]
    champion: Champion | None


Rule = Callable[[Contest], list[Verdict]]
RULES: Registry[Rule] = Registry("kinemill.register.rules", "gate rule")


def number(value: object) -> float:
    """Read a measured number; what is none, such as null, is NaN, which passes no rule."""
    return float(value) if isinstance(value, int | float) else math.nan


def shown(value: float) -> Value:
    """Return a number as JSON can hold it: finite ones as they are, others as text."""
    return value if math.isfinite(value) else str(value)


__all__ = ["RULES", "Champion", "Contest", "Rule", "Verdict", "number", "shown"]
