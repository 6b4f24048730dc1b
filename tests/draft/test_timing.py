"""Clocks of drafts: logs that hold time steps instead of timestamps."""

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.own_logs import check_own_logs
from tests.draft.test_derivatives import TIME, motion


@pytest.mark.parametrize("form", ["csv", "npz"])
@pytest.mark.parametrize("name", ["duration", "cycle_duration", "dt"])
def test_time_is_the_sum_of_durations(tmp_path, form, name):
    """A control loop of 1 kHz that misses each 50th cycle, as libfranka logs it."""
    steps = np.where(np.arange(len(TIME)) % 50 == 49, 0.002, 0.001)
    steps[0] = 0.0
    angle, speed = motion(np.random.default_rng(0))
    seconds = np.cumsum(steps)
    columns = {name: steps, "q": np.interp(seconds, TIME, angle)}
    columns |= {"dq": np.interp(seconds, TIME, speed), "tau_J_d": np.sin(40.0 * seconds)}
    path = tmp_path / f"log.{form}"
    if form == "npz":
        np.savez(path, **columns)
    else:
        rows = np.column_stack([*columns.values()])
        np.savetxt(path, rows, "%.9g", ",", header=",".join(columns), comments="")
    checked = check_own_logs(build("arm", path))
    task = checked.task
    assert (task.dt, task.ingest.time, task.ingest.time_kind) == (0.001, [name], "steps")
    assert task.channels["dq"].derivative_of == "q"
    (entry,) = checked.entries
    assert (entry["outcome"], entry["rows"]) == ("episodes", round(seconds[-1] / 0.001) + 1)
    assert (checked.refused, checked.cut) == ([], [])


def test_a_constant_duration_is_the_time_step(tmp_path):
    angle, _ = motion(np.random.default_rng(0))
    columns = np.column_stack([np.full(len(TIME), 0.004), angle, np.sin(TIME)])
    np.savetxt(tmp_path / "a.csv", columns, "%.9g", ",", header="duration,q,tau", comments="")
    draft = build("arm", tmp_path / "a.csv")
    assert draft.dt == pytest.approx(0.004)
    assert [one.channel for one in draft.columns] == ["q", "tau"]
