"""Canary release: a share of the robots gets a version first.

A hash of task, version and robot selects them: a robot stays selected while the share grows, and
the next version starts with other robots.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

WHICH = "@canary"
TAG = "kinemill.canary"  # tag of the registered model: version and share, JSON


@dataclass(frozen=True)
class Canary:
    """A version and the share of robots that gets it, 0 to 1."""

    version: int
    share: float

    def takes(self, task: str, robot: str) -> bool:
        """Return whether a robot is in the share; the result is the same in every call."""
        drawn = hashlib.sha256(f"{task}:{self.version}:{robot}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") < self.share * 2**64


def canary_in(notes: Mapping[str, str]) -> Canary | None:
    """Return the canary in the tags of a registered model, or None."""
    return Canary(**json.loads(notes[TAG])) if notes.get(TAG) else None


def which_of(task: str, robot: str, notes: Mapping[str, str]) -> str:
    """Resolve `@canary` for a robot to `:number` or `@champion`."""
    canary = canary_in(notes)
    return f":{canary.version}" if canary and canary.takes(task, robot) else "@champion"
