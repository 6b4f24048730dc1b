"""Apply the checks to one track: return the accepted pieces with the reasons for dropped rows.

Rows are removed once and counted once, under the first check that wants them gone: non-finite
values, then the checks in the order of their phases. What becomes of a fault is for its check's
`on_fault` to say, else for the task's: short faults of single values between good rows may be
interpolated, and one that only warns costs nothing. What can be put right without loss, is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.task import Task
from kinemill.validate import nonfinite
from kinemill.validate.faults import (
    PHASES,
    Check,
    Fault,
    Phase,
    Rule,
    Track,
    Values,
    checks_of,
    measuring_checks,
    runs,
)

TOO_SHORT = "min_steps"
Rows = tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """A fault, by rows of the track, the name of the check that found it, and what is done."""

    check: str
    fault: Fault
    repaired: bool = False
    rule: Rule = "split"

    @property
    def drops_rows(self) -> bool:
        """Whether rows are removed for it."""
        return not self.repaired and self.rule != "warn"

    @property
    def message(self) -> str:
        """The finding, and how it was handled unless rows were removed."""
        if self.repaired:
            return f"{self.fault.actual}; {'put right' if self.fault.put_right else 'interpolated'}"
        return f"{self.fault.actual}; a warning" if self.rule == "warn" else self.fault.actual


@dataclass(frozen=True)
class Verdict:
    """What is left of a track, what was found in it, and rows dropped by check.

    `repaired` holds the channels, (n,), in which values were put right; `measured` what the checks
    report, {check: {name: number}}.
    """

    pieces: list[Rows]
    findings: list[Finding]
    dropped: dict[str, int]
    repaired: Values = field(default_factory=dict[str, Any])
    measured: dict[str, dict[str, float]] = field(default_factory=dict[str, Any])


def apply_checks_to_track(values: Values, task: Task) -> Verdict:
    """Look at one track, channel -> (n,) in the task's units, and decide by the task's `on_fault`.

    A piece shorter than `min_steps` holds no window worth learning from and is dropped too.
    """
    rows = len(next(iter(values.values())))
    original = values if isinstance(values, Track) else Track(values)
    track, findings = _find_all(original, task, rows)
    repaired, findings = _repair(track, task, findings)
    blaming = [finding for finding in findings if finding.drops_rows]
    trusted = _decide(blaming, rows)
    least = task.validation.min_steps
    stretches = runs(trusted)
    pieces = [piece for piece in stretches if piece[1] - piece[0] >= least]
    short = [piece for piece in stretches if piece[1] - piece[0] < least]
    dropped = _count(blaming, trusted)
    if short:
        dropped[TOO_SHORT] = sum(stop - start for start, stop in short)
    findings = [*findings, *(too_short(start, stop, least) for start, stop in short)]
    whole = Track({**track, **repaired}) if repaired else track
    measured = _measure(whole, task, _free(blaming, rows))
    changed = {name: item for name, item in whole.items() if item is not values[name]}
    return Verdict(pieces, findings, dropped, changed, measured)


def _find_all(values: Track, task: Task, rows: int) -> tuple[Track, list[Finding]]:
    """Return everything that is found, and the track with what could be put right without loss."""
    always = task.validation.on_fault
    findings = [Finding(nonfinite.NAME, fault, rule=always) for fault in nonfinite.find(values)]
    checks = checks_of(task)
    free = _free(findings, rows)
    trusted = _masked(values, free)
    for phase in PHASES:
        selected = {name: check for name, check in checks.items() if check.phase == phase}
        if not selected or not free.any():
            continue
        new = [
            Finding(name, fault, rule=_rule(checks[name], fault, always))
            for name, fault in _find(phase, selected, trusted, task, free)
        ]
        if not new:
            continue
        righted, new = _put_right(values, new)
        findings += new
        if righted is not values or any(finding.drops_rows for finding in new):
            values, free = righted, free & _free(new, rows)
            trusted = _masked(values, free)
    return values, findings


def _put_right(values: Track, pending: list[Finding]) -> tuple[Track, list[Finding]]:
    """Put right what can be without loss, and is to be; return the track, and what is marked so."""
    marked: list[Finding] = []
    for item in pending:
        able = item.rule == "repair" and item.fault.put_right is not None
        if able and item.fault.put_right:
            values = Track({**values, **item.fault.put_right(values)})
        marked.append(replace(item, repaired=able))
    return values, marked


def _rule(check: Check, fault: Fault, always: Rule) -> Rule:
    """Return what is done about a fault: as its check says, or is able to, else as ever."""
    own: Rule | None = getattr(check, "on_fault", None)
    return own or ("repair" if fault.put_right else always)


def _find(
    phase: Phase,
    checks: Mapping[str, Check],
    trusted: Track,
    task: Task,
    free: NDArray[np.bool_],
) -> list[tuple[str, Fault]]:
    """Return what the checks of one phase find in channel -> (n,), given the free rows (n,)."""
    if phase != "stretch":
        return [
            (name, fault) for name, each in checks.items() for fault in each.find(trusted, task)
        ]
    stretches = [
        (start, trusted if free.all() else Track(_rows(trusted, start, stop)))
        for start, stop in runs(free)
    ]
    return [
        (name, _shifted(fault, start))
        for name, check in checks.items()
        for start, part in stretches
        for fault in check.find(part, task)
    ]


def _measure(values: Track, task: Task, free: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Return what checks report about the free rows (n,) of channel -> (n,), without empty ones."""
    if not free.any():
        return {}
    trusted = _masked(values, free)
    measured = {
        name: check.measure(trusted, task) for name, check in measuring_checks(task).items()
    }
    return {name: numbers for name, numbers in measured.items() if numbers}


def _repair(values: Track, task: Task, findings: list[Finding]) -> tuple[Values, list[Finding]]:
    """Interpolate short faults of single channels between good rows, where they may be.

    Returns:
        the channels (n,) that changed, and all findings, those put right marked.
    """
    if not any(item.rule == "repair" and not item.repaired for item in findings):
        return {}, findings
    own = {name: getattr(check, "repair_rows", None) for name, check in checks_of(task).items()}
    rows = len(next(iter(values.values())))

    def able(item: Finding) -> bool:
        longest = own.get(item.check) or task.validation.repair_rows
        fits = item.fault.repairable and item.fault.stop - item.fault.start <= longest
        return item.rule == "repair" and not item.repaired and fits

    small = [able(item) for item in findings]
    sound = _free([item for item, fits in zip(findings, small, strict=True) if not fits], rows)
    repaired: dict[str, Any] = {}
    for name in values:
        faults = [
            item.fault
            for item, fits in zip(findings, small, strict=True)
            if fits and item.fault.channel == name
        ]
        if faults:
            repaired[name] = _interpolated(values[name], faults, sound)
    marked = [
        replace(item, repaired=_is_whole(item.fault, repaired)) if fits else item
        for item, fits in zip(findings, small, strict=True)
    ]
    return repaired, marked


def _interpolated(values: Any, faults: list[Fault], sound: NDArray[np.bool_]) -> Any:
    """Return (n,) with straight lines over `faults`; NaN where one side has no sound row."""
    good = sound & np.isfinite(values)
    for fault in faults:
        good[fault.start : fault.stop] = False
    good_rows = np.flatnonzero(good)
    filled = values.copy()
    for fault in faults:
        gap = np.arange(fault.start, fault.stop)
        earlier, after = good_rows[good_rows < fault.start], good_rows[good_rows >= fault.stop]
        is_short = len(earlier) and len(after) and after[0] - earlier[-1] <= 2 * len(gap) + 1
        filled[gap] = np.interp(gap, good_rows, values[good_rows]) if is_short else np.nan
    return filled


def _is_whole(fault: Fault, repaired: Values) -> bool:
    return bool(np.isfinite(repaired[fault.channel or ""][fault.start : fault.stop]).all())


def _masked(values: Track, free: NDArray[np.bool_]) -> Track:
    """Return the track with NaN where rows are not free; itself, if all are."""
    if free.all():
        return values
    return Track({name: np.where(free, item, np.nan) for name, item in values.items()})


def _rows(values: Values, start: int, stop: int) -> Values:
    return {name: item[start:stop] for name, item in values.items()}


def _shifted(fault: Fault, rows: int) -> Fault:
    return replace(fault, start=fault.start + rows, stop=fault.stop + rows)


def _free(findings: list[Finding], rows: int) -> NDArray[np.bool_]:
    """Return which of (rows,) no finding wants gone."""
    free = np.ones(rows, dtype=np.bool_)
    for finding in findings:
        if finding.drops_rows:
            free[finding.fault.start : finding.fault.stop] = False
    return free


def _decide(findings: list[Finding], rows: int) -> NDArray[np.bool_]:
    """Return which of the rows may go on, as (rows,)."""
    trusted = _free(findings, rows)
    if any(finding.rule == "quarantine" for finding in findings):
        trusted[:] = False
    for finding in findings:
        if finding.rule == "cut":
            trusted[finding.fault.start :] = False
    return trusted


def _count(findings: list[Finding], trusted: NDArray[np.bool_]) -> dict[str, int]:
    """Count dropped rows by check; rows that go with others belong to the first that took them."""
    counted = trusted.copy()
    dropped: dict[str, int] = {}
    for finding in findings:
        rows = slice(finding.fault.start, finding.fault.stop)
        new = int(np.count_nonzero(~counted[rows]))
        counted[rows] = True
        dropped[finding.check] = dropped.get(finding.check, 0) + new
    if rest := int(np.count_nonzero(~counted)):
        wide = [finding for finding in findings if finding.rule in {"cut", "quarantine"}]
        first = min(wide, key=lambda finding: finding.fault.start)
        dropped[first.check] += rest
    return dropped


def too_short(start: int, stop: int, least: int) -> Finding:
    """Return the finding that rows `start` to `stop` are fewer than `least`."""
    fault = Fault(
        start,
        stop,
        None,
        actual=f"a piece of {stop - start} rows",
        expected=f"at least {least} rows",
        fix="lower validate.min_steps, if shorter pieces are worth learning from",
    )
    return Finding(TOO_SHORT, fault)
