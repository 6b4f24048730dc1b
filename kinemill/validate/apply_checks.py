"""Apply the checks to one track: return the accepted pieces with the reasons for dropped rows.

Each dropped row is counted once, under the first check that drops it: non-finite values, then the
checks in the order of their phases. `on_fault` of the check, or else of the task, defines what
happens to a fault. Short faults of single values between good rows can be interpolated, warnings
drop no rows, and faults with a lossless correction are corrected.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.task import Task
from kinemill.validate import nonfinite
from kinemill.validate.faults import (
    PHASES,
    Array,
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
Measured = dict[str, dict[str, float]]  # of one track: check -> name -> number


@dataclass(frozen=True)
class Finding:
    """A fault in rows of the track, with its check and its handling."""

    check: str
    fault: Fault
    repaired: bool = False
    rule: Rule = "split"

    @property
    def drops_rows(self) -> bool:
        """Whether its rows are dropped."""
        return not self.repaired and self.rule != "warn"

    @property
    def message(self) -> str:
        """The finding, with its handling unless rows were dropped."""
        if self.repaired:
            return f"{self.fault.actual}; {'corrected' if self.fault.correct else 'interpolated'}"
        return f"{self.fault.actual}; a warning" if self.rule == "warn" else self.fault.actual


@dataclass(frozen=True)
class Verdict:
    """Result of the checks of one track.

    Attributes:
        pieces: accepted rows, as (start, stop not included).
        dropped: number of dropped rows by check.
        repaired: channels (n,) with corrected or interpolated values.
        measured: numbers that the checks report.
    """

    pieces: list[Rows]
    findings: list[Finding]
    dropped: dict[str, int]
    repaired: Values = field(default_factory=dict[str, Array])
    measured: Measured = field(default_factory=dict[str, dict[str, float]])


def apply_checks_to_track(values: Values, task: Task) -> Verdict:
    """Check one track, channel -> (n,) in the task's units, and handle its faults by `on_fault`.

    Pieces shorter than `min_steps` are dropped as well.
    """
    rows = len(next(iter(values.values())))
    original = values if isinstance(values, Track) else Track(values)
    track, findings = _find_all(original, task, rows)
    repaired, findings = _repair(track, task, findings)
    blaming = [finding for finding in findings if finding.drops_rows]
    trusted = _decide(blaming, rows)
    pieces, short = _split(trusted, task)
    dropped = _count(blaming, trusted)
    if short:
        dropped[TOO_SHORT] = _rows_of(short)
    whole = Track({**track, **repaired}) if repaired else track
    measured = _measure(whole, task, _free(blaming, rows))
    changed = {name: item for name, item in whole.items() if item is not values[name]}
    return Verdict(pieces, [*findings, *short], dropped, changed, measured)


def skip_checks(values: Values, task: Task) -> Verdict:
    """Return the verdict on a track of a released recording, channel -> (n,).

    Only rows that no model can use are dropped: non-finite values, and pieces shorter than
    `validate.min_steps`.
    """
    rows = len(next(iter(values.values())))
    return _without(Verdict([(0, rows)], [], {}), nonfinite.find(values), rows, task)


def drop_nonfinite_aux(verdict: Verdict, frame: pl.DataFrame, task: Task) -> Verdict:
    """Return a verdict without the rows in which an observation or a reward is not finite.

    No physical check covers these channels, but policies learn from them.
    """
    columns = {name: frame[name].to_numpy() for name in task.numbers if name not in task.columns}
    faults = nonfinite.find(columns)
    return _without(verdict, faults, frame.height, task) if faults else verdict


def _without(verdict: Verdict, faults: list[Fault], rows: int, task: Task) -> Verdict:
    """Return a verdict on a number of rows without those of nonfinite values."""
    lost = _rows_in(faults, rows)
    trusted = np.zeros(rows, np.bool_)
    for start, stop in verdict.pieces:
        trusted[start:stop] = True
    pieces, short = _split(trusted & ~lost, task)
    new = {nonfinite.NAME: int(np.count_nonzero(trusted & lost)), TOO_SHORT: _rows_of(short)}
    dropped = verdict.dropped | {
        name: verdict.dropped.get(name, 0) + count for name, count in new.items() if count
    }
    findings = [*verdict.findings, *(Finding(nonfinite.NAME, fault) for fault in faults), *short]
    return replace(verdict, pieces=pieces, findings=findings, dropped=dropped)


def _rows_in(faults: list[Fault], rows: int) -> NDArray[np.bool_]:
    """Return which of (rows,) are in a fault."""
    inside = np.zeros(rows, np.bool_)
    for fault in faults:
        inside[fault.start : fault.stop] = True
    return inside


def _split(trusted: NDArray[np.bool_], task: Task) -> tuple[list[Rows], list[Finding]]:
    """Return the stretches of trusted rows (n,), and findings for those that are too short."""
    least = task.validation.min_steps
    stretches = runs(trusted)
    short = [_too_short(start, stop, least) for start, stop in stretches if stop - start < least]
    return [(start, stop) for start, stop in stretches if stop - start >= least], short


def _rows_of(findings: list[Finding]) -> int:
    return sum(finding.fault.stop - finding.fault.start for finding in findings)


def _find_all(values: Track, task: Task, rows: int) -> tuple[Track, list[Finding]]:
    """Return all findings, and the track after lossless corrections."""
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
        corrected, new = _correct(values, new)
        findings += new
        if corrected is not values or any(finding.drops_rows for finding in new):
            values = corrected
            free = free & _free(new, rows)
            trusted = _masked(values, free)
    return values, findings


def _correct(values: Track, pending: list[Finding]) -> tuple[Track, list[Finding]]:
    """Apply lossless corrections where the rule allows; return the track and marked findings."""
    marked: list[Finding] = []
    for item in pending:
        correct = item.fault.correct if item.rule == "repair" else None
        if correct:
            values = Track({**values, **correct(values)})
        marked.append(replace(item, repaired=correct is not None))
    return values, marked


def _rule(check: Check, fault: Fault, always: Rule) -> Rule:
    """Return the rule of the check, or `repair` for a fault with a correction, or `always`."""
    rule: Rule | None = getattr(check, "on_fault", None)
    return rule or ("repair" if fault.correct else always)


def _find(
    phase: Phase, checks: Mapping[str, Check], trusted: Track, task: Task, free: NDArray[np.bool_]
) -> list[tuple[str, Fault]]:
    """Return the faults that the checks of one phase find in the free rows (n,)."""
    if phase != "stretch":
        return [
            (name, fault) for name, check in checks.items() for fault in check.find(trusted, task)
        ]
    stretches = [
        (start, trusted if free.all() else trusted.part(start, stop)) for start, stop in runs(free)
    ]
    return [
        (name, replace(fault, start=fault.start + start, stop=fault.stop + start))
        for name, check in checks.items()
        for start, part in stretches
        for fault in check.find(part, task)
    ]


def _measure(values: Track, task: Task, free: NDArray[np.bool_]) -> Measured:
    """Return the numbers that checks measure in the free rows (n,) of channel -> (n,)."""
    if not free.any():
        return {}
    trusted = _masked(values, free)
    measured = {
        name: check.measure(trusted, task) for name, check in measuring_checks(task).items()
    }
    return {name: numbers for name, numbers in measured.items() if numbers}


def _repair(values: Track, task: Task, findings: list[Finding]) -> tuple[Values, list[Finding]]:
    """Interpolate short faults of single channels between good rows, where the rule allows.

    It returns the changed channels (n,), and all findings with repaired ones marked.
    """
    if not any(item.rule == "repair" and not item.repaired for item in findings):
        return {}, findings
    limits = {name: getattr(check, "repair_rows", None) for name, check in checks_of(task).items()}
    rows = len(next(iter(values.values())))

    def is_short(item: Finding) -> bool:
        longest = limits.get(item.check) or task.validation.repair_rows
        fits = item.fault.repairable and item.fault.stop - item.fault.start <= longest
        return item.rule == "repair" and not item.repaired and fits

    small = [is_short(item) for item in findings]
    sound = _free([item for item, fits in zip(findings, small, strict=True) if not fits], rows)
    repaired: dict[str, Array] = {}
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


def _interpolated(values: Array, faults: list[Fault], sound: NDArray[np.bool_]) -> Array:
    """Interpolate (n,) linearly over `faults`; NaN if one side has no sound row."""
    good = sound & np.isfinite(values)
    for fault in faults:
        good[fault.start : fault.stop] = False
    good_rows = np.flatnonzero(good)
    filled = values.copy()
    for fault in faults:
        gap = np.arange(fault.start, fault.stop)
        earlier = good_rows[good_rows < fault.start]
        after = good_rows[good_rows >= fault.stop]
        is_short = len(earlier) and len(after) and after[0] - earlier[-1] <= 2 * len(gap) + 1
        filled[gap] = np.interp(gap, good_rows, values[good_rows]) if is_short else np.nan
    return filled


def _is_whole(fault: Fault, repaired: Values) -> bool:
    return bool(np.isfinite(repaired[fault.channel or ""][fault.start : fault.stop]).all())


def _masked(values: Track, free: NDArray[np.bool_]) -> Track:
    """Return the track with NaN in rows that are not free."""
    if free.all():
        return values
    return Track({name: np.where(free, item, np.nan) for name, item in values.items()})


def _free(findings: list[Finding], rows: int) -> NDArray[np.bool_]:
    """Return which of (rows,) no finding drops."""
    return ~_rows_in([finding.fault for finding in findings if finding.drops_rows], rows)


def _decide(findings: list[Finding], rows: int) -> NDArray[np.bool_]:
    """Return which of the rows are accepted, as (rows,)."""
    trusted = _free(findings, rows)
    if any(finding.rule == "quarantine" for finding in findings):
        trusted[:] = False
    for finding in findings:
        if finding.rule == "cut":
            trusted[finding.fault.start :] = False
    return trusted


def _count(findings: list[Finding], trusted: NDArray[np.bool_]) -> dict[str, int]:
    """Count dropped rows by check; rows of a cut or quarantine belong to the first such finding."""
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


def _too_short(start: int, stop: int, least: int) -> Finding:
    """Return the finding that rows `start` to `stop` are fewer than `least`."""
    fault = Fault(
        start,
        stop,
        None,
        actual=f"a piece of {stop - start} rows",
        expected=f"at least {least} rows",
        fix="lower validate.min_steps to accept shorter pieces",
    )
    return Finding(TOO_SHORT, fault)
