"""Headline of a registered version: its performance and status."""

from collections.abc import Sequence
from dataclasses import replace

from kinemill.register import tags
from kinemill.register.gate.refusal_causes import is_diverged, ranked
from kinemill.register.verdict import Verdict
from kinemill.register.versions import CHAMPION, Version
from kinemill.verify.headline import GateDecision, Headline, decision_text

_DIVERGES = Verdict("finite", False, "diverges", "finite")


def gate_decision_of(version: Version) -> GateDecision:
    """Return the decision about a version, and whether it is still in effect."""
    return GateDecision(
        version.decision,
        failed_causes(version.gate),
        provisional=version.provisional,
        address=f"{version.task}:{version.number}",
        champion=version.previous_champion,
        former=version.decision == CHAMPION and CHAMPION not in version.aliases,
        override=version.decision == "refused" and CHAMPION in version.aliases,
    )


def failed_causes(gate: Sequence[Verdict]) -> list[Verdict]:
    """Return the failed lines that are root causes; a divergence comes first."""
    causes = [cause.line for cause in ranked(gate) if cause.follows is None]
    return [_DIVERGES, *causes[1:]] if is_diverged(gate) else causes


def headline_of(version: Version) -> Headline:
    """Return the headline of a version."""
    text = version.tags.get(tags.PERFORMANCE, "")
    return replace(decision_text(gate_decision_of(version)), performance=text)
