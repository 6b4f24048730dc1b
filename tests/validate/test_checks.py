"""The physical checks: what each finds, in which rows, and what it leaves alone."""

import numpy as np
import pytest

from kinemill.errors import TaskError
from kinemill.task import CHECKS, load_task
from kinemill.validate import nonfinite
from kinemill.validate.faults import PHASES, checks_of, runs, steps
from tests.conftest import load_task_in
from tests.validate.conftest import locations, make_task


@pytest.mark.parametrize("name", list(CHECKS))
def test_every_check_is_made_without_arguments_and_finds_nothing_in_a_clean_swing(
    name, pendulum, swing
):
    task = pendulum()
    check = checks_of(task)[name]
    assert check.phase in PHASES
    assert check.find(swing(), task) == []
    task = pendulum(max_jump={"angle": 0.1})
    assert checks_of(task)[name].find(swing(1), task) == []  # one row


def test_runs_are_half_open_and_reach_both_ends():
    assert runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
    assert runs(np.zeros(0, dtype=bool)) == []


def test_an_angle_steps_the_short_way_round():
    assert steps(np.array([3.1, -3.1]), "angle")[0] == pytest.approx(2 * np.pi - 6.2)
    assert steps(np.array([3.1, -3.1]), "linear")[0] == pytest.approx(-6.2)


def test_nan_and_infinity_are_found_by_stretch_and_channel(swing):
    values = swing()
    values["angle"][100:110] = np.nan
    values["torque"][105] = -np.inf
    result = nonfinite.find(values)
    expected = [(100, 110, "angle"), (105, 106, "torque")]
    assert [(f.start, f.stop, f.channel) for f in result] == expected
    assert result[0].actual == "nan in 10 rows"
    assert "-inf" in result[1].actual


def test_limits_find_values_beyond_either_end_and_name_the_farthest(pendulum, swing):
    values = swing()
    values["velocity"][[200, 201, 202]] = [-20.5, -31.0, 25.0]
    values["torque"][7] = 5.0  # the limit itself is allowed
    task = pendulum()
    (fault,) = task.validation.limits.find(values, task)
    assert (fault.start, fault.stop, fault.channel) == (200, 203, "velocity")
    assert fault.actual == "-31 rad/s"
    assert fault.expected == "-20 to 20 rad/s"


def test_a_spike_is_one_fault_with_its_two_neighbors(pendulum, swing):
    values = swing()
    values["angle"][400] += 1.0
    task = pendulum(max_jump={"angle": 0.3})
    assert locations(task, "max_jump", values) == [(399, 402, "angle")]
    assert locations(pendulum(), "max_jump", values) == []  # no bound


def test_a_jump_of_a_whole_turn_is_none_for_an_angle_but_is_for_a_velocity(pendulum, swing):
    values = swing()
    values["angle"][500:] += 2 * np.pi
    values["velocity"][500:] += 2 * np.pi
    task = pendulum(max_jump={"angle": 0.3, "velocity": 2.0})
    assert locations(task, "max_jump", values) == [(499, 501, "velocity")]


TASK = """task: pendulum
dt: 0.01
channels:
  angle: {role: state, kind: angle, unit: rad}
validate:
  on_fault: split
  max_jump:
    WHERE
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.mark.parametrize(
    ("setting", "message"),
    [("angel: 0.3", "unknown channel; did you mean 'angle'?"), ("angle: -0.3", "greater than 0")],
)
def test_a_wrong_max_jump_is_reported_at_its_own_line_and_key(tmp_path, setting, message):
    path = tmp_path / "pendulum.yaml"
    path.write_text(TASK.replace("WHERE", setting))
    with pytest.raises(TaskError) as raised:
        load_task(path)
    (problem,) = raised.value.problems
    assert f"{path}:8: validate.max_jump.{setting.partition(':')[0]}: " in problem
    assert message in problem


def test_an_ignored_channel_that_is_none_is_reported_with_the_nearest(tmp_path):
    text = TASK.replace("max_jump", "stuck").replace("WHERE", "ignore: [anglee]")
    with pytest.raises(TaskError, match=r"validate\.stuck\.ignore\.anglee: .*'angle'"):
        load_task_in(tmp_path, text)


@pytest.mark.parametrize(
    ("channel", "rows", "faulty", "shows"),
    [
        ("angle", (300, 400), (300, 401), "velocity shows a movement of"),  # resampling mixes one
        ("angle", (0, 1000), (0, 1000), "velocity"),
        ("velocity", (300, 400), (300, 401), ""),
    ],
)
def test_a_frozen_channel_is_contradicted_by_the_other(
    pendulum, swing, channel, rows, faulty, shows
):
    values = swing()
    values[channel][slice(*rows)] = 0.2 if rows[0] == 0 else values[channel][rows[0]]
    task = pendulum()
    (fault,) = task.validation.stuck.find(values, task)
    assert (fault.start, fault.stop, fault.channel) == (*faulty, channel)
    assert shows in fault.actual


def test_rest_with_a_noisy_and_biased_velocity_is_not_stuck(pendulum, swing):
    # An upright pendulum's encoder holds one step for 1.3 s (simple_pendulum/sac); 5 s here.
    random = np.random.default_rng(0)
    values = swing()
    values["angle"][300:800] = values["angle"][300]
    values["velocity"][300:800] = 0.03 + 0.08 * random.standard_normal(500)
    assert locations(pendulum(), "stuck", values) == []


def test_turning_at_constant_speed_is_not_stuck(pendulum, swing):
    values = swing()
    values["velocity"][:] = 3.0
    values["angle"][:] = 0.03 * np.arange(1000)
    assert locations(pendulum(), "stuck", values) == []


def test_stillness_up_to_the_allowed_time_is_not_stuck(pendulum, swing):
    values = swing()
    values["angle"][300:351] = values["angle"][300]  # 0.50 s
    assert locations(pendulum(), "stuck", values) == []
    values["angle"][300:353] = values["angle"][300]  # 0.52 s
    assert locations(pendulum(), "stuck", values) == [(300, 354, "angle")]


def two_positions():
    """A task of two positions without velocities: only habit can tell a frozen one."""
    task = make_task()
    channels = {
        name: task.channels["angle"].model_copy(update={"kind": "linear"}) for name in ("a", "b")
    }
    return task.model_copy(update={"channels": channels})


def test_without_a_velocity_a_trembling_sensor_that_freezes_is_found():
    time = 0.01 * np.arange(1000)
    values = {"a": np.sin(3 * time), "b": np.cos(2 * time)}
    values["a"][200:300] = values["a"][200]
    assert locations(two_positions(), "stuck", values) == [(200, 301, "a")]


def test_without_a_velocity_a_gripper_that_often_rests_is_left_alone():
    time = 0.01 * np.arange(1000)
    values = {"a": np.round(2 * np.sin(time)) / 2, "b": np.cos(2 * time)}
    assert locations(two_positions(), "stuck", values) == []


def slow(rows=2000):
    """One value per second: a coarse temperature that nears its end, and a noisy voltage."""
    random, time = np.random.default_rng(0), np.arange(rows)
    warm = 200.0 * (1.0 - np.exp(-time / 400.0)) + 0.03 * random.standard_normal(rows)
    return {"a": np.round(warm / 0.0625) * 0.0625, "b": 230.0 + random.standard_normal(rows)}


def test_equal_values_in_a_slow_log_of_a_coarse_sensor_are_not_stuck():
    task = two_positions().model_copy(update={"dt": 1.0})
    assert locations(task, "stuck", slow()) == []


def valve(rows=1000):
    """A coarse level and a flow that follow a valve with little noise, without velocities."""
    random = np.random.default_rng(0)
    torque = np.repeat(random.uniform(-4, 4, rows // 20), 20)
    level = np.cumsum(0.002 * torque) + 0.001 * random.standard_normal(rows)
    flow = np.convolve(torque, np.ones(30) / 30)[:rows] + 0.01 * random.standard_normal(rows)
    return {"a": np.round(200.0 * level) / 200.0, "b": flow, "torque": torque}


def test_coarse_sensor_without_a_velocity_that_freezes_is_found():
    values = valve()
    assert locations(two_positions_and_torque(), "stuck", values) == []
    values["a"][300:500] = values["a"][300]
    assert locations(two_positions_and_torque(), "stuck", values) == [(300, 501, "a")]
    values |= {name: values[name].copy() for name in ("b", "torque")}
    for name in ("b", "torque"):  # the whole plant rests
        values[name][300:500] = values[name][300]
    values["b"][300:500] += 0.001 * np.random.default_rng(0).standard_normal(200)
    assert locations(two_positions_and_torque(), "stuck", values) == []


def test_spike_of_a_state_without_a_velocity_is_found():
    values = valve()
    assert locations(two_positions_and_torque(), "spike", values) == []
    values["a"][333] += 1.0
    assert locations(two_positions_and_torque(), "spike", values) == [(333, 334, "a")]
    values["b"][333:] += 20.0  # an impact that other channels show as well
    assert locations(two_positions_and_torque(), "spike", values) == []


def test_step_response_of_a_velocity_is_no_spike():
    start = 0.06 * np.array([197.0, 253.9, 265.4, 268.8, 271.8])  # after a valve has opened
    velocity = np.concatenate([np.zeros(500), start, np.full(495, 0.06 * 273.7)])
    moved = 0.06 * np.array([1.2, 1.7, 2.5, 2.6, 2.8])  # the first row moves late
    angle = np.cumsum(np.concatenate([np.zeros(500), moved, np.full(495, 0.06 * 2.737)]))
    values = {"angle": angle, "velocity": velocity, "torque": np.zeros(1000)}
    assert locations(make_task(), "spike", values) == []


def two_positions_and_torque():
    task = two_positions()
    channels = {**task.channels, "torque": make_task().channels["torque"]}
    return task.model_copy(update={"channels": channels})


def test_a_sensor_of_a_slow_log_that_freezes_is_found():
    task, values = two_positions().model_copy(update={"dt": 1.0}), slow()
    values["a"] += 0.01 * np.random.default_rng(1).standard_normal(len(values["a"]))  # is fine
    values["a"][500:560] = values["a"][500]
    assert locations(task, "stuck", values) == [(500, 561, "a")]


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (1.2, "a velocity 1.2 times the position's derivative"),
        (1 / 1.2, "a velocity 0.833 times the position's derivative"),
        (-1.0, "a velocity with its sign inverted"),
        (57.29578, "57.3 times too large, as if in deg/s"),
        (-57.29578, "as if in deg/s and its sign inverted"),
        (9.549297, "as if in rpm"),
        (1 / 57.29578, "57.3 times too small, as if the position were in deg"),
        (0.0, "a velocity near zero while the position moves"),
    ],
)
def test_a_wrong_velocity_is_found_and_named(pendulum, swing, factor, message):
    values = swing()
    values["velocity"] *= factor
    task = pendulum()
    (fault,) = task.validation.velocity.find(values, task)
    assert (fault.start, fault.stop, fault.channel) == (0, 1000, "velocity")
    assert message in fault.actual


def test_a_velocity_is_judged_without_the_rows_already_found_faulty(pendulum, swing):
    values = swing()
    values["angle"][500:520] = np.nan
    values["velocity"][100:110] = np.nan
    assert locations(pendulum(), "velocity", values) == []
    values["velocity"] *= 1.2
    assert locations(pendulum(), "velocity", values) == [(0, 1000, "velocity")]


def test_nothing_but_faulty_rows_is_no_velocity_to_judge(pendulum, swing):
    values = {name: np.full(100, np.nan) for name in swing()}
    assert locations(pendulum(), "velocity", values) == []
