"""Canary: which robots get a version before all do; their names decide.

A robot's name and the version decide, so a robot stays where it is while the share grows, and
another version begins with others.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

WHICH = "@canary"
TAG = "kinemill.canary"  # of the registered model: version and share, JSON


@dataclass(frozen=True)
class Canary:
    """A version, and the share of robots that gets it, 0 to 1."""

    version: int
    share: float

    def takes(self, task: str, robot: str) -> bool:
        """Tell whether a robot is in the share: the same answer everywhere and always."""
        drawn = hashlib.sha256(f"{task}:{self.version}:{robot}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") < self.share * 2**64


def canary_in(notes: Mapping[str, str]) -> Canary | None:
    """Return the canary that the tags of a registered model tell of."""
    return Canary(**json.loads(notes[TAG])) if notes.get(TAG) else None


def which_of(task: str, robot: str, notes: Mapping[str, str]) -> str:
    """Return what `@canary` is to a robot: `:number`, or `@champion`."""
    canary = canary_in(notes)
    return f":{canary.version}" if canary and canary.takes(task, robot) else "@champion"
