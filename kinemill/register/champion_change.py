"""Result of a manual decision: an approval, a promotion or a rollback."""

from collections.abc import Sequence
from dataclasses import dataclass

from kinemill.register.verdict import Verdict
from kinemill.register.versions import Version


@dataclass(frozen=True)
class ChampionChange:
    """Result of an approval, a promotion or a rollback.

    Attributes:
        aliases: aliases of the version after the change.
        decision: decision of the gate; None while undecided.
        provisional: why the champion is provisional; "" if it is not.
        previous_champion: number of the previous champion; None without one.
        gate: verdicts of the gate.
        differs: differences of its interface from that of the previous champion.
    """

    task: str
    version: int
    aliases: list[str]
    decision: str | None
    provisional: str
    previous_champion: int | None
    gate: list[Verdict]
    differs: list[str]

    @classmethod
    def of(
        cls, version: Version, previous: int | None, differs: Sequence[str] = ()
    ) -> "ChampionChange":
        """Return the result for a version, read after the change."""
        return cls(
            task=version.task,
            version=version.number,
            aliases=list(version.aliases),
            decision=version.decision,
            provisional=version.provisional,
            previous_champion=previous,
            gate=version.gate,
            differs=list(differs),
        )
