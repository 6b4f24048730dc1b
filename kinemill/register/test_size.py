"""How much test data a verdict stands on: episodes, and independent blocks of rows in them."""

import math
from dataclasses import dataclass

from kinemill.register.comparison import GateInputs
from kinemill.register.opponents import headlines

_ROUNDING = 1e-9  # effective numbers are sums of rounded shares


@dataclass(frozen=True)
class Amount:
    """Test data behind a verdict.

    Attributes:
        episodes: of the test split that windows begin in, or trials.
        blocks: independent blocks of rows that carry the comparison that has the fewest; NaN where
            whole episodes or trials carry all of them, or nothing was compared.
    """

    episodes: int
    blocks: float = math.nan

    def lacks(self, contest: GateInputs) -> list[str]:
        """Return what there is too little of, in words; nothing if there is enough."""
        wanted = contest.task.promote
        found = list[str]()
        if not self.episodes >= wanted.min_test_episodes:
            found.append(f"{_count(self.episodes, 'test episode')} of {wanted.min_test_episodes}")
        if self.blocks < wanted.min_independent - _ROUNDING:
            found.append(f"{self.blocks:.2g} of {wanted.min_independent} independent blocks")
        return found

    def __str__(self) -> str:
        told = _count(self.episodes, "test episode")
        return told if math.isnan(self.blocks) else f"{told}, {self.blocks:.2g} independent blocks"


def amount_of(contest: GateInputs) -> Amount:
    """Return how much test data a contest has.

    Whole episodes are known to be independent of one another, and a comparison over them says by
    the width of its interval how few they are; blocks within episodes are counted.
    """
    episodes = contest.measured.episodes if contest.measured else 0
    found = [one.headline for one in headlines(contest).values() if one.headline is not None]
    blocks = [
        one.effective_n if math.isfinite(one.effective_n) else 0.0
        for one in found
        if math.isfinite(one.reference) and (one.unit == "blocks" or math.isnan(one.high))
    ]
    return Amount(episodes, min(blocks, default=math.nan))


def is_enough(contest: GateInputs) -> bool:
    """Return whether there is as much test data as the task asks for."""
    return not amount_of(contest).lacks(contest)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
