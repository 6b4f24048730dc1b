"""Checks of accepted episodes, made on changed recordings and stored with each."""

from dataclasses import replace

import numpy as np
import pytest

from kinemill.validate import expectations, load_checks, row_checks
from kinemill.validate import stage as validate
from tests.validate.conftest import as_frame

pytestmark = pytest.mark.expectations


def test_failures_are_stored_with_their_recording_and_add_up(
    home, pendulum, record, swing, monkeypatch
):
    """Great Expectations disagrees with the bounds that episodes are cut by: nothing else can."""
    task, real = pendulum(), expectations.bounds_of

    def stricter(task):
        return [
            replace(one, high=3.0) if one.column == "velocity:max" else one for one in real(task)
        ]

    frames = {f"{k}.csv": [as_frame(swing(300, phase=0.3 * k))] for k in range(4)}
    slow = swing(300, phase=0.05)
    frames["slow.csv"] = [as_frame({**slow, **{n: 0.1 * slow[n] for n in ("angle", "velocity")}})]
    monkeypatch.setattr(expectations, "bounds_of", stricter)
    monkeypatch.setattr(row_checks, "bounds_of", stricter)
    first = validate.run(task, home, record(task, frames))
    check = {one.name: one for one in load_checks(home, first.ref)}["schema_velocity"]
    assert (check.passed, check.blocking) == (False, True)
    assert (check.values["episodes"], check.values["failed"]) == (5, 4)
    assert {item["column"] for item in check.values["failing"]} == {"velocity:max"}
    assert np.isclose(max(item["value"] for item in check.values["failing"]), 4.5, atol=0.01)
    fewer = {name: frames[name] for name in ("1.csv", "slow.csv")}
    second = validate.run(task, home, record(task, fewer))
    check = {one.name: one for one in load_checks(home, second.ref)}["schema_velocity"]
    assert (check.values["episodes"], check.values["failed"]) == (2, 1)
