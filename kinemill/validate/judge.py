"""One track of a recording in, the pieces of it that can be trusted out, with the reasons.

Rows are removed once and counted once, under the first check that wants them gone: non-finite
values, then the checks in the order of their phases. Where the task says `repair`, short faults of
single values between good rows are interpolated instead.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.spec import Task
from kinemill.validate import nonfinite
from kinemill.validate.faults import PHASES, Check, Fault, Phase, Values, checks_of, measuring, runs

TOO_SHORT = "min_steps"
Rows = tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """A fault, by rows of the track, and the name of the check that found it."""

    check: str
    fault: Fault
    repaired: bool = False


@dataclass(frozen=True)
class Verdict:
    """What is left of a track, what was found in it, and rows dropped by check.

    `repaired` holds the channels, (n,), in which values were interpolated; `measured` what the
    checks report, {check: {name: number}}.
    """

    pieces: list[Rows]
    findings: list[Finding]
    dropped: dict[str, int]
    repaired: Values = field(default_factory=dict[str, Any])
    measured: dict[str, dict[str, float]] = field(default_factory=dict[str, Any])


def judge(values: Values, task: Task) -> Verdict:
    """Look at one track, channel -> (n,) in the task's units, and decide by the task's `on_fault`.

    A piece shorter than `min_steps` holds no window worth learning from and is dropped too.
    """
    rows = len(next(iter(values.values())))
    found = _find_all(values, task, rows)
    repaired, findings = _repair(values, task, found)
    blaming = [finding for finding in findings if not finding.repaired]
    trusted = _decide(blaming, rows, task.validation.on_fault)
    least = task.validation.min_steps
    pieces = [piece for piece in runs(trusted) if piece[1] - piece[0] >= least]
    short = [piece for piece in runs(trusted) if piece[1] - piece[0] < least]
    dropped = _count(blaming, trusted)
    if short:
        dropped[TOO_SHORT] = sum(stop - start for start, stop in short)
    findings = [*findings, *(too_short(start, stop, least) for start, stop in short)]
    measured = _measure({**values, **repaired}, task, _free(blaming, rows))
    return Verdict(pieces, findings, dropped, repaired, measured)


def _find_all(values: Values, task: Task, rows: int) -> list[Finding]:
    findings = [Finding(nonfinite.NAME, fault) for fault in nonfinite.find(values)]
    checks = checks_of(task)
    for phase in PHASES:
        findings += _find(phase, checks, values, task, _free(findings, rows))
    return findings


def _find(
    phase: Phase, checks: dict[str, Check], values: Values, task: Task, free: NDArray[np.bool_]
) -> list[Finding]:
    """Return what the checks of one phase find in channel -> (n,), given the free rows (n,)."""
    chosen = {name: check for name, check in checks.items() if check.judges == phase}
    if not chosen or not free.any():
        return []
    if phase == "stretch":
        return [
            Finding(name, _shifted(fault, start))
            for name, check in chosen.items()
            for start, stop in runs(free)
            for fault in check.find(_rows(values, start, stop), task)
        ]
    trusted = _masked(values, free)
    return [
        Finding(name, fault)
        for name, check in chosen.items()
        for fault in check.find(trusted, task)
    ]


def _measure(values: Values, task: Task, free: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Return what checks report about the free rows (n,) of channel -> (n,), without empty ones."""
    if not free.any():
        return {}
    trusted = _masked(values, free)
    measured = {name: check.measure(trusted, task) for name, check in measuring(task).items()}
    return {name: found for name, found in measured.items() if found}


def _repair(values: Values, task: Task, findings: list[Finding]) -> tuple[Values, list[Finding]]:
    """Interpolate short faults of single channels between good rows, where the task allows it.

    Returns:
        the channels (n,) that changed, and all findings, those put right marked.
    """
    if task.validation.on_fault != "repair":
        return {}, findings
    most = task.validation.repair_rows
    small = [
        finding.fault.repairable and finding.fault.stop - finding.fault.start <= most
        for finding in findings
    ]
    rows = len(next(iter(values.values())))
    sound = _free([item for item, able in zip(findings, small, strict=True) if not able], rows)
    repaired: dict[str, Any] = {}
    for name in values:
        faults = [
            item.fault
            for item, able in zip(findings, small, strict=True)
            if able and item.fault.channel == name
        ]
        if faults:
            repaired[name] = _interpolated(values[name], faults, sound)
    marked = [
        replace(item, repaired=able and _is_whole(item.fault, repaired))
        for item, able in zip(findings, small, strict=True)
    ]
    return repaired, marked


def _interpolated(values: Any, faults: list[Fault], sound: NDArray[np.bool_]) -> Any:
    """Return (n,) with straight lines over `faults`; NaN where one side has no sound row."""
    good = sound & np.isfinite(values)
    for fault in faults:
        good[fault.start : fault.stop] = False
    known = np.flatnonzero(good)
    filled = values.copy()
    for fault in faults:
        gap = np.arange(fault.start, fault.stop)
        before, after = known[known < fault.start], known[known >= fault.stop]
        beside = len(before) and len(after) and after[0] - before[-1] <= 2 * len(gap) + 1
        filled[gap] = np.interp(gap, known, values[known]) if beside else np.nan
    return filled


def _is_whole(fault: Fault, repaired: Values) -> bool:
    return bool(np.isfinite(repaired[fault.channel or ""][fault.start : fault.stop]).all())


def _masked(values: Values, free: NDArray[np.bool_]) -> Values:
    if free.all():
        return values
    return {name: np.where(free, item, np.nan) for name, item in values.items()}


def _rows(values: Values, start: int, stop: int) -> Values:
    return {name: item[start:stop] for name, item in values.items()}


def _shifted(fault: Fault, rows: int) -> Fault:
    return replace(fault, start=fault.start + rows, stop=fault.stop + rows)


def _free(findings: list[Finding], rows: int) -> NDArray[np.bool_]:
    free = np.ones(rows, dtype=np.bool_)
    for finding in findings:
        free[finding.fault.start : finding.fault.stop] = False
    return free


def _decide(findings: list[Finding], rows: int, on_fault: str) -> NDArray[np.bool_]:
    """Return which of the rows may go on, as (rows,)."""
    trusted = _free(findings, rows)
    if findings and on_fault == "quarantine":
        trusted[:] = False
    if findings and on_fault == "cut":
        trusted[min(finding.fault.start for finding in findings) :] = False
    return trusted


def _count(findings: list[Finding], trusted: NDArray[np.bool_]) -> dict[str, int]:
    """Count dropped rows by check; rows after a cut belong to the check of the first fault."""
    counted = trusted.copy()
    dropped: dict[str, int] = {}
    for finding in findings:
        rows = slice(finding.fault.start, finding.fault.stop)
        new = int(np.count_nonzero(~counted[rows]))
        counted[rows] = True
        dropped[finding.check] = dropped.get(finding.check, 0) + new
    if rest := int(np.count_nonzero(~counted)):
        first = min(findings, key=lambda finding: finding.fault.start)
        dropped[first.check] += rest
    return dropped


def too_short(start: int, stop: int, least: int) -> Finding:
    """Return the finding that rows `start` to `stop` are fewer than `least`."""
    fault = Fault(
        start,
        stop,
        None,
        found=f"a piece of {stop - start} rows",
        expected=f"at least {least} rows",
        fix="lower validate.min_steps, if shorter pieces are worth learning from",
    )
    return Finding(TOO_SHORT, fault)
