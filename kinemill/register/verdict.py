"""Verdict: one line of a decision of the gate."""

from dataclasses import dataclass

Value = str | float


@dataclass(frozen=True)
class Verdict:
    """One line of a decision: its condition, its result, and whether it passed.

    Attributes:
        passed: whether the condition holds.
        value: the result.
        expected: the condition.
        undecided: whether it failed for a doubt and not for a harm that was shown: too little or
            repeated test data, or a detail. Such lines make a first champion provisional.
    """

    rule: str
    passed: bool
    value: Value
    expected: Value
    undecided: bool = False


def is_of(rule: str, line: str) -> bool:
    """Return whether a line of a decision belongs to this rule."""
    return line == rule or line.startswith(f"{rule}_")
