"""Causes of a refusal: root causes first, then the lines that follow from them.

A model that diverges also fails parity, all comparisons with references and the repeated
measurement, but only one of these lines needs a fix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kinemill.register.verdict import Verdict, is_of
from kinemill.verify.headline import CAUSES

RANK = (*CAUSES, "approval")  # rules, root causes first; those of plug-ins follow
_DIVERGED = ("finite errors", "finite returns", "finite")  # checks of verification
_EXPORTED = ("precision", "parity")
# Rules that fail if predictions are not finite.
_DIVERGENCE = (*_EXPORTED, "measured", "stability", "no_worse", "beats", "interval", "channels")
# A model that is significantly worse than a reference cannot be better by the margin.
_STRONGER = (("no_worse", "beats"), ("no_worse", "interval"), ("beats", "interval"))


@dataclass(frozen=True)
class Cause:
    """One line of the gate that failed.

    Attributes:
        follows: the failed line that explains it; None for a root cause.
    """

    line: Verdict
    follows: str | None = None

    @property
    def rule(self) -> str:
        """Name of the line."""
        return self.line.rule


def ranked(gate: Sequence[Verdict]) -> list[Cause]:
    """Return the failed lines: root causes first, by `RANK`, then those that follow from them."""
    failed = sorted((line for line in gate if not line.passed), key=_rank)
    causes = [Cause(line, _explained_by(line, failed)) for line in failed]
    return sorted(causes, key=lambda cause: cause.follows is not None)


def is_diverged(gate: Sequence[Verdict]) -> bool:
    """Return whether the gate found non-finite predictions."""
    return any(
        (is_of("verified", line.rule) and _checks(line) & set(_DIVERGED))
        or (is_of("measured", line.rule) and str(line.value).startswith("not finite"))
        for line in gate
        if not line.passed
    )


def _rank(line: Verdict) -> int:
    return next((index for index, rule in enumerate(RANK) if is_of(rule, line.rule)), len(RANK))


def _explained_by(line: Verdict, failed: Sequence[Verdict]) -> str | None:
    """Return the failed line that explains this one; None for a root cause."""
    rules = [item.rule for item in failed]
    rule = line.rule
    if is_diverged(failed):
        first = "verified" if "verified" in rules else "measured"
        if rule != first and any(is_of(name, rule) for name in _DIVERGENCE):
            return first
    roots = [root for root in _roots(line) if root in rules]
    return roots[0] if roots else None


def _roots(line: Verdict) -> list[str]:
    """Return the lines that would explain this one, strongest first."""
    rule = line.rule
    # Undecided: too little test data for an interval. Other doubts have separate causes.
    roots = ["evidence"] if line.undecided and is_of("interval", rule) else []
    if str(line.value).startswith("cannot be compared"):
        roots.append("interface")
    if rule == "verified" and all(
        "parity" in check or check in _EXPORTED for check in _checks(line)
    ):
        return list(_EXPORTED)
    return roots + [
        rule.replace(weaker, stronger, 1) for stronger, weaker in _STRONGER if is_of(weaker, rule)
    ]


def _checks(line: Verdict) -> set[str]:
    """Return the failed checks that a `verified` line lists."""
    return set(str(line.value).removeprefix("failed: ").split(", "))
