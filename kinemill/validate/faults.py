"""Findings of physical checks, and the base classes of all checks.

Symbols: n rows of an episode, k row index, dt time step in s.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from kinemill.registry import Registry
from kinemill.runtime import wrapped
from kinemill.task import CHECKS as _SETTINGS
from kinemill.task import RowCount, Settings, Task

Array = NDArray[np.float64]
Values = Mapping[str, Array]
T = TypeVar("T")


class Track(dict[str, Array]):
    """Values of a track, channel -> (n,), with a cache of intermediate results of checks."""

    def __init__(self, values: Values) -> None:
        super().__init__(values)
        self.cache: dict[Hashable, Any] = {}

    def part(self, start: int, stop: int) -> "Track":
        """Return the rows from `start` to `stop` (not included)."""
        return Track({name: item[start:stop] for name, item in self.items()})


def memoize(values: Values, key: Hashable, compute: Callable[[], T]) -> T:
    """Return `compute(values)`, cached by key if the values are a `Track`.

    `values`, channel -> (n,), are not changed afterwards. `key` is the check and its settings.
    """
    if not isinstance(values, Track):
        return compute()
    if key not in values.cache:
        values.cache[key] = compute()
    return values.cache[key]


@dataclass(frozen=True)
class Fault:
    """Rows `start` to `stop` (not included) of an episode that cannot be trusted, and why.

    Attributes:
        start: first row.
        stop: row after the last one.
        channel: channel with the fault; None for several.
        actual: what was found, as text.
        expected: what was expected, as text.
        fix: what a user can do, as text.
        repairable: whether interpolation between good rows may replace the values.
        correct: lossless correction: from channel -> (n,) to the changed channels, (n,) each.
    """

    start: int
    stop: int
    channel: str | None
    actual: str
    expected: str
    fix: str
    repairable: bool = False
    correct: Callable[[Values], Values] | None = field(default=None, compare=False, repr=False)


Rule = Literal["warn", "split", "cut", "quarantine", "repair"]


class CheckSettings(Settings):
    """Settings of every physical check: the reaction to findings."""

    on_fault: Rule | None = None
    """replaces validate.on_fault for this check; warn: report, and keep every row"""
    repair_rows: RowCount | None = None
    """in place of validate.repair_rows"""


Phase = Literal["identity", "stretch", "pattern", "outlier", "episode"]
PHASES: tuple[Phase, ...] = ("identity", "stretch", "pattern", "outlier", "episode")


class Check(Protocol):
    """A physical check: its settings and its method.

    `phase` sets when the check runs and what it receives:

    - "identity": all rows, first. A log in wrong units or with swapped channels would fail every
      later check.
    - "stretch": stretches of rows without NaN.
    - "pattern", then "outlier": all rows, with rows that are already faulty as NaN, so that faults
      with a recognizable form are named by the more specific check.
    - "episode": the same, last. It rejects a whole episode, half of it or nothing, so one spike
      does not.

    A `MeasuringCheck` also reports numbers for every track, faulty or not.
    """

    phase: ClassVar[Phase]

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the faults in the rows of channel -> (n,), in the task's units."""
        ...


class MeasuringCheck(Protocol):
    """A check that reports measurements in addition to findings."""

    def measure(self, values: Values, task: Task) -> dict[str, float]:
        """Return numbers by name about channel -> (n,), faulty rows being NaN."""
        ...


CHECKS = cast("Registry[type[Any]]", _SETTINGS)


def checks_of(task: Task) -> dict[str, Check]:
    """Return the checks of a task by name, in the order of their phases."""
    checks: dict[str, Check] = {name: getattr(task.validation, name) for name in CHECKS}
    checks |= cast(dict[str, Check], task.validation.checks)
    return dict(sorted(checks.items(), key=lambda item: PHASES.index(item[1].phase)))


def measuring_checks(task: Task) -> dict[str, MeasuringCheck]:
    """Return the checks of a task that report measurements, by name."""
    checks = {name: getattr(task.validation, name) for name in CHECKS}
    return {name: check for name, check in checks.items() if hasattr(type(check), "measure")}


def runs(faulty: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the stretches of true rows in (n,) as (start, stop not included)."""
    if not faulty.any():
        return []
    edges: list[int] = ((faulty[1:] != faulty[:-1]).nonzero()[0] + 1).tolist()
    if faulty[0]:
        edges.insert(0, 0)
    if faulty[-1]:
        edges.append(len(faulty))
    return list(zip(edges[::2], edges[1::2], strict=True))


# Least ratio of the change over as many rows as a constant stretch has to the change in one row.
_SMOOTH = 4.0
_USUAL = 0.95  # quantile of the changes in a row; a larger change is a jump
_QUANTA = 2.0  # a change of at most so many of the smallest changes is no jump


def ends_smoothly(values: Array, start: int, stop: int, tolerance: float) -> bool:
    """Return whether smooth values (n,) leave a constant stretch without a jump.

    After a loss, a signal jumps to its current value. Values are smooth if they change much less in
    one row than over as many rows as the stretch has.
    """
    change = np.abs(np.diff(values))
    change = change[change > tolerance]
    rows = min(stop - start, len(values) // 2)
    if stop == len(values):
        return False
    jump = abs(values[stop] - values[stop - 1])
    if jump <= _QUANTA * np.min(change, initial=np.inf):
        return True
    apart = float(np.nanmedian(np.abs(values[rows:] - values[:-rows])))
    is_smooth = apart > _SMOOTH * float(np.median(change))
    return is_smooth and bool(jump <= np.quantile(change, _USUAL))


def steps(values: Array, kind: str) -> Array:
    """Return x[k+1] - x[k] of (n,) as (n-1,); those of an angle within [-pi, pi] rad."""
    return wrapped(np.diff(values), kind == "angle")
