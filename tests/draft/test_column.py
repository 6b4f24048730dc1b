"""Columns of drafts: how their names are spelled."""

import numpy as np

from kinemill.draft.column import fold_names
from tests.draft.tables import load, table


def test_runs_of_numbers_are_folded():
    names = ["q[8]", "q[9]", "q[10]", "tau_1", "tau_2", "x", "m1.on", "m2.on", "m3.on", "m5.on"]
    assert fold_names(names) == ["q[8] to q[10]", "tau_1", "tau_2", "x", "m1.on to m3.on", "m5.on"]


def test_every_column_that_is_left_out_is_named(tmp_path, time):
    """Thirty joints that never move, whose names differ by more than a number."""
    joints = [
        f"{side}_{'abcdefghijklmno'[at]}_joint" for side in ("left", "right") for at in range(15)
    ]
    still = dict.fromkeys(joints, 0.5 + 0 * time)
    path = table(tmp_path / "a.csv", time=time, q=np.sin(time), u=np.cos(2 * time), **still)
    _, text = load(tmp_path, "drafted", path)
    assert f"# left out, never changes: {', '.join(joints)} (rule: constant)\n" in text
