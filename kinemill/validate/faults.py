"""What a physical check finds, and what every one of them looks like.

Symbols: n rows of an episode, k row index, dt time step in s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from kinemill.registry import Registry
from kinemill.spec import CHECKS as _SETTINGS
from kinemill.spec import Task

Array = NDArray[np.float64]
Values = Mapping[str, Array]


@dataclass(frozen=True)
class Fault:
    """Rows `start` to `stop` (not included) of an episode that cannot be trusted, and why."""

    start: int
    stop: int
    channel: str | None
    found: str
    expected: str
    fix: str


class Check(Protocol):
    """A physical check: its settings, and how it looks at an episode.

    `judges` says what a fault means, and what the check is given. One of a "stretch" gets rows
    without NaN and says which of them are faulty. One of a whole "episode" gets all rows, those
    already found faulty as NaN, so that one spike does not condemn it, and takes all or none.
    """

    judges: ClassVar[Literal["stretch", "episode"]]

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the faults in the rows of channel -> (n,), in the task's units."""
        ...


CHECKS = cast("Registry[type[Any]]", _SETTINGS)


def checks_of(task: Task) -> dict[str, Check]:
    """Return the checks of a task by name, those of stretches before those of whole episodes."""
    checks: dict[str, Check] = {name: getattr(task.validation, name) for name in CHECKS}
    return dict(sorted(checks.items(), key=lambda item: item[1].judges == "episode"))


def runs(faulty: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the stretches of true rows in (n,) as (start, stop not included)."""
    edges = np.diff(np.concatenate(([0], faulty.astype(np.int8), [0])))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def steps(values: Array, kind: str) -> Array:
    """Return x[k+1] - x[k] of (n,) as (n-1,); an angle's the short way round, in [-pi, pi] rad."""
    change = np.diff(values)
    return change - 2 * np.pi * np.round(change / (2 * np.pi)) if kind == "angle" else change
