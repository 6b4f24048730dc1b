"""Observations and rewards: no physical check knows them, but what learns from them needs numbers.

So all that is asked of them is that they are finite; rows in which one is not go, as they would
for a state.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from kinemill.task import Task
from kinemill.validate import nonfinite
from kinemill.validate.apply_checks import TOO_SHORT, Finding, Verdict, too_short
from kinemill.validate.faults import runs


def drop_nonfinite_aux(verdict: Verdict, frame: pl.DataFrame, task: Task) -> Verdict:
    """Return the verdict on a track without the rows in which an observation or reward is lost.

    Args:
        verdict: on the states and actions.
        frame: the track, with the task's recorded channels.
        task: names the channels, and how short a piece may be.
    """
    columns = {name: frame[name].to_numpy() for name in task.numbers if name not in task.columns}
    faults = nonfinite.find(columns)
    if not faults:
        return verdict
    lost = np.zeros(frame.height, np.bool_)
    for fault in faults:
        lost[fault.start : fault.stop] = True
    trusted = np.zeros(frame.height, np.bool_)
    for start, stop in verdict.pieces:
        trusted[start:stop] = True
    remaining, least = list(runs(trusted & ~lost)), task.validation.min_steps
    short = [piece for piece in remaining if piece[1] - piece[0] < least]
    dropped = dict(verdict.dropped)
    for name, rows in (
        (nonfinite.NAME, int(np.count_nonzero(trusted & lost))),
        (TOO_SHORT, sum(stop - start for start, stop in short)),
    ):
        if rows:
            dropped[name] = dropped.get(name, 0) + rows
    findings = [Finding(nonfinite.NAME, fault) for fault in faults]
    findings += [too_short(start, stop, least) for start, stop in short]
    pieces = [piece for piece in remaining if piece not in short]
    return replace(verdict, pieces=pieces, findings=[*verdict.findings, *findings], dropped=dropped)
