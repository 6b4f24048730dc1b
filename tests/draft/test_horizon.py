"""Horizon of a draft: dead time and slowest time constant, measured in logs."""

import re

import numpy as np
import pytest

from kinemill.draft.builder import build, draft
from kinemill.draft.constants import HORIZON_MOST
from kinemill.draft.horizon import find_dead_time
from tests.draft.tables import table

DT = 0.05


def lag(seed, *, delay=0, constant=0.5, rows=1200):
    """Simulate T x' = u - x, u late by some rows and held for 4: (rows, 2) x, u."""
    random = np.random.default_rng(seed)
    commands = np.repeat(random.uniform(-1, 1, rows // 4 + 1), 4)[:rows]
    out, x = [], 0.0
    for k in range(rows):
        out.append((x, commands[k]))
        x += DT / constant * (commands[max(k - delay, 0)] - x)
    return np.array(out) + 0.002 * random.normal(size=(rows, 2)) * [1, 0]


@pytest.mark.parametrize("delay", [0, 3, 16])
def test_dead_time_is_found_in_open_loop(delay):
    recordings = [lag(seed, delay=delay) for seed in range(2)]
    assert find_dead_time(recordings, 1) == delay


def test_dead_time_is_none_in_closed_loop():
    random = np.random.default_rng(0)
    rows, state = [], np.zeros(2)
    for k in range(2000):
        torque = 20.0 * (np.sin(0.7 * k * DT) - state[0]) - 4.0 * state[1]
        torque += 0.3 * random.normal()
        rows.append([*state, torque])
        state = state + DT * np.array([state[1], torque - 9.0 * np.sin(state[0])])
    assert find_dead_time([np.array(rows)], 2) == 0


def write(folder, logs):
    for number, log in enumerate(logs):
        seconds = DT * np.arange(len(log))
        table(folder / f"{number}.csv", time=seconds, y=log[:, 0], u=log[:, 1])


@pytest.mark.parametrize(("constant", "steps"), [(0.5, (9, 16)), (2.0, (30, 50))])
def test_horizon_covers_the_slowest_time_constant_and_the_draft_has_the_reason(
    tmp_path, constant, steps
):
    write(tmp_path, [lag(seed, constant=constant) for seed in range(3)])
    text = draft("lag", tmp_path)
    line = re.search(r"verify: {horizon: (\d+), stride: 5}  # (.*)", text)
    assert line
    assert steps[0] <= int(line[1]) <= steps[1]
    assert "the slowest time constant is" in line[2]
    assert "commands act after" not in line[2]


def test_horizon_covers_the_dead_time(tmp_path):
    write(tmp_path, [lag(seed, delay=16) for seed in range(3)])
    horizon = build("lag", tmp_path).horizon
    assert horizon.steps >= 16 + 9
    assert "commands act after 0.8 s" in horizon.why


def test_horizon_is_a_tenth_of_short_logs_and_bounded(tmp_path):
    short, long = tmp_path / "short", tmp_path / "long"
    short.mkdir()
    long.mkdir()
    write(short, [lag(seed, constant=1.0, rows=80) for seed in range(3)])
    assert build("lag", short).horizon.steps == 8
    write(long, [lag(seed, constant=20.0) for seed in range(3)])
    horizon = build("lag", long).horizon
    assert horizon.steps == HORIZON_MOST
    assert "50 steps are the most" in horizon.why


def test_clock_that_starts_again_gives_a_draft_of_its_stretches(tmp_path):
    """Stretches on one clock have the step, and the test rows, of one of them."""
    rows = np.concatenate([lag(seed, rows=200) for seed in range(5)])
    clock = 20.0 * DT * (np.arange(1000) % 200)  # slow, so that a step may be coarser
    table(tmp_path / "a.csv", **{"time [s]": clock, "x": rows[:, 0], "u": rows[:, 1]})
    built = build("lag", tmp_path / "a.csv")
    assert built.dt == pytest.approx(20.0 * DT)
    assert built.horizon.steps <= 20
    assert "test: [{rows: [160, null]}]" in draft("lag", tmp_path / "a.csv")
