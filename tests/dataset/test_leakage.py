"""How much of validation and test repeats the training rows: near-duplicates, periodic tails."""

import numpy as np
import pytest

from kinemill.dataset import DatasetSummary
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.summary import Leakage
from tests.dataset.conftest import Content, make_task, publish
from tests.dataset.test_near_duplicates import note

ROWS = 3000
TAIL = {"validation": {"tail": 0.2}, "test": ["test*"]}


def course(torque):
    """Angle, speed and torque (rows, 3) of a driven, damped pendulum, steps of 10 ms."""
    angle, speed, rows = 0.0, 0.0, []
    for push in torque:
        rows.append((angle, speed, push))
        speed += 0.01 * (push - 9.81 * np.sin(angle) - 0.5 * speed)
        angle += 0.01 * speed
    return np.array(rows, dtype=np.float64)


def periodic(phase=0.0):
    return course(4.0 * np.sin(2.0 * np.pi * 0.7 * 0.01 * np.arange(ROWS) + phase))


def random(seed):
    steps = np.random.default_rng(seed).normal(0.0, 5.0, ROWS // 20)
    return course(np.repeat(steps, 20))


def turning(rows=ROWS):
    """A wheel that turns on: the angle grows, and the motion repeats each turn."""
    time = 0.01 * np.arange(rows)
    return np.stack([5.0 * time, np.full(rows, 5.0), np.sin(5.0 * time)], axis=1)


def made(home, *contents, **dataset):
    artifact = dataset_stage.run(make_task(**dataset), home, publish(home, list(contents)))
    return DatasetSummary.of(artifact)


def leakage(summary, side):
    return summary.independence[side]


def test_a_tail_of_periodic_motion_repeats_the_training_rows_and_is_reported(home):
    noise = np.random.default_rng(0).normal(0.0, 0.01, (ROWS, 3))
    summary = made(
        home, Content("a.csv", periodic() + noise), Content("test.csv", random(1)), **TAIL
    )
    assert leakage(summary, "validation").repetitions == 1.0
    assert leakage(summary, "test") == Leakage(0.0, 0.0)
    (warning,) = summary.warnings
    assert warning.startswith("about 100% of the validation rows repeat a motion of the training")


def test_an_angle_that_grows_from_turn_to_turn_repeats_all_the_same(home):
    summary = made(home, Content("a.csv", turning()), Content("test.csv", random(1)), **TAIL)
    assert leakage(summary, "validation").repetitions == 1.0


def test_a_tail_under_another_excitation_repeats_nothing(home):
    summary = made(home, Content("a.csv", random(0)), Content("test.csv", random(1)), **TAIL)
    assert leakage(summary, "validation") == Leakage(0.0, 0.0)
    assert summary.warnings == []


def test_a_robot_that_rests_at_the_end_repeats_nothing(home):
    values = random(0)
    values[-ROWS // 2 :] = values[-ROWS // 2]
    values[-ROWS // 2 :, 1] = 0.0
    summary = made(home, Content("a.csv", values), Content("test.csv", random(1)), **TAIL)
    assert leakage(summary, "validation").repetitions == 0.0


@pytest.mark.parametrize("repeats", ["together", "apart"])
@pytest.mark.parametrize(("noise", "shares"), [(0.0, (0.5, 0.0)), (0.01, (0.0, 0.5))])
def test_test_recordings_of_the_same_run_are_copies_unless_their_noise_is_new(
    home, repeats, noise, shares
):
    new = np.random.default_rng(0).normal(0.0, noise, (ROWS, 3))
    first = Content("a.csv", random(0))
    again = Content("test1.csv", random(0) + new)
    note(home, again, first)
    others = Content("test2.csv", random(5)), Content("val.csv", random(7))
    summary = made(home, first, again, *others, near_duplicates=repeats)
    assert leakage(summary, "test") == Leakage(*shares)
    assert any("near-duplicates are in different splits" in line for line in summary.warnings)


def test_test_rows_cut_from_a_periodic_recording_count(home):
    summary = made(
        home,
        Content("a.csv", periodic()),
        Content("val.csv", random(3)),
        test={"rows": [2000, 2600], "of": "a.csv"},
        validation=["val*"],
    )
    assert leakage(summary, "test").repetitions == 1.0


def test_tails_of_two_recordings_of_the_same_run_are_not_in_the_training_rows(home):
    first, again = Content("a.csv", random(0)), Content("b.csv", random(0))
    note(home, again, first)
    summary = made(home, first, again, Content("test.csv", random(1)), **TAIL)
    assert leakage(summary, "validation") == Leakage(0.0, 0.0)
    assert summary.warnings == []
