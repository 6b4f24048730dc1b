"""The first line about a registered version: what the model achieves, and what it is now."""

from dataclasses import replace

from kinemill.register import tags
from kinemill.register.refusal_causes import is_diverged, ranked
from kinemill.register.versions import CHAMPION, Version
from kinemill.store import Json
from kinemill.verify.headline import Headline, Ruling, ruling_words

_DIVERGES: Json = {"rule": "finite", "passed": False, "found": "diverges", "wanted": "finite"}


def ruling_of(version: Version) -> Ruling:
    """Return what the registry decided about a version, and whether that still stands."""
    return Ruling(
        version.decision,
        failed_causes(version.gate),
        provisional=version.provisional,
        address=f"{version.task}:{version.number}",
        champion=int(version.tags.get(tags.PREVIOUS, "0")) or None,
        former=version.decision == CHAMPION and CHAMPION not in version.aliases,
        override=version.decision == "refused" and CHAMPION in version.aliases,
    )


def failed_causes(gate: list[Json]) -> list[Json]:
    """Return the failed lines that are causes of their own; a divergence stands first."""
    causes = [cause.line for cause in ranked(gate) if cause.follows is None]
    return [_DIVERGES, *causes[1:]] if is_diverged(gate) else causes


def headline_of(version: Version) -> Headline:
    """Return the first line about a version."""
    told = version.tags.get(tags.PERFORMANCE, "")
    return replace(ruling_words(ruling_of(version)), performance=told)
