"""One track of a recording in, the pieces of it that can be trusted out, with the reasons.

Rows are removed once and counted once, under the first check that wants them gone: non-finite
values, then the checks of stretches on what is finite, then those of whole episodes on the rest.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinemill.spec import Task
from kinemill.validate import nonfinite
from kinemill.validate.faults import Fault, Values, checks_of, runs

TOO_SHORT = "min_steps"
Rows = tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """A fault, by rows of the track, and the name of the check that found it."""

    check: str
    fault: Fault


@dataclass(frozen=True)
class Verdict:
    """What is left of a track, what was found in it, and rows dropped by check."""

    pieces: list[Rows]
    findings: list[Finding]
    dropped: dict[str, int]


def judge(values: Values, task: Task) -> Verdict:
    """Look at one track, channel -> (n,) in the task's units, and decide by the task's `on_fault`.

    A piece shorter than `min_steps` holds no window worth learning from and is dropped too.
    """
    rows = len(next(iter(values.values())))
    findings = _find_all(values, task, rows)
    trusted = _decide(findings, rows, task.validation.on_fault)
    least = task.validation.min_steps
    pieces = [piece for piece in runs(trusted) if piece[1] - piece[0] >= least]
    short = [piece for piece in runs(trusted) if piece[1] - piece[0] < least]
    dropped = _count(findings, trusted)
    if short:
        dropped[TOO_SHORT] = sum(stop - start for start, stop in short)
    findings = [*findings, *(_too_short(start, stop, least) for start, stop in short)]
    return Verdict(pieces, findings, dropped)


def _find_all(values: Values, task: Task, rows: int) -> list[Finding]:
    findings = [Finding(nonfinite.NAME, fault) for fault in nonfinite.find(values)]
    checks, finite = checks_of(task), runs(_free(findings, rows))
    for name, check in checks.items():
        if check.judges == "stretch":
            findings += [
                Finding(name, _shifted(fault, start))
                for start, stop in finite
                for fault in check.find(_rows(values, start, stop), task)
            ]
    free = _free(findings, rows)
    trusted = {name: np.where(free, item, np.nan) for name, item in values.items()}
    for name, check in checks.items():
        if check.judges == "episode":
            findings += [Finding(name, fault) for fault in check.find(trusted, task)]
    return findings


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


def _too_short(start: int, stop: int, least: int) -> Finding:
    fault = Fault(
        start,
        stop,
        None,
        found=f"a piece of {stop - start} rows",
        expected=f"at least {least} rows",
        fix="lower validate.min_steps, if shorter pieces are worth learning from",
    )
    return Finding(TOO_SHORT, fault)
