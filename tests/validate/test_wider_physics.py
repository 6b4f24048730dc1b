"""The checks that measure their own thresholds: one defect of known size each, and what is left."""

import re

import numpy as np
import pytest

from kinemill.task import Task
from kinemill.validate import results
from kinemill.validate.apply_checks import apply_checks_to_track
from kinemill.validate.faults import checks_of, measuring_checks
from kinemill.validate.motion import local_noise, slope_and_offset
from tests.conftest import learning_task
from tests.validate.conftest import locations, make_task


def faults(task, check, values):
    return checks_of(task)[check].find(values, task)


def make_arm(rows: int = 1000):
    """Two joints at 100 Hz, 1.5 sin(3 t) and 0.8 sin(5 t) rad, with noise of 0.02 rad/s."""
    time, random = 0.01 * np.arange(rows), np.random.default_rng(0)
    hiss = 0.02 * random.standard_normal((2, rows))
    return {
        "upper": 1.5 * np.sin(3 * time),
        "lower": 0.8 * np.sin(5 * time),
        "upper_velocity": 4.5 * np.cos(3 * time) + hiss[0],
        "lower_velocity": 4.0 * np.cos(5 * time) + hiss[1],
        "torque": np.sin(7 * time),
    }


def make_arm_task():
    task = make_task()
    channels = task.channels
    joints = {
        "upper": channels["angle"],
        "lower": channels["angle"],
        "upper_velocity": channels["velocity"].model_copy(update={"derivative_of": "upper"}),
        "lower_velocity": channels["velocity"].model_copy(update={"derivative_of": "lower"}),
        "torque": channels["torque"],
    }
    return task.model_copy(update={"channels": joints})


@pytest.fixture
def arm():
    return make_arm_task()


def test_a_sound_arm_passes_every_check(arm):
    assert apply_checks_to_track(make_arm(), arm).findings == []


def test_the_noise_around_a_row_is_that_of_its_block_and_never_below_the_whole():
    error = np.concatenate((np.full(100, 0.1), np.full(100, 2.0)))
    size = local_noise(error)
    assert (size[0], size[99], size[199]) == (2.0, 2.0, 2.0)  # three quarters are below 2
    assert local_noise(np.concatenate((np.full(300, 0.1), np.full(50, 2.0))))[0] == 0.1


def test_scale_and_offset_are_fitted_together_and_deaf_to_spikes():
    moved = np.sin(0.03 * np.arange(1000))
    said = 1.1 * moved + 0.5 * 0.2
    said[::100] += 3.0
    scale, offset = slope_and_offset(said, moved, 0.5)
    assert scale == pytest.approx(1.1, abs=0.01)
    assert offset == pytest.approx(0.2, abs=0.03)  # least squares would say 0.26


def test_a_spike_is_found_in_its_own_row_alone(arm):
    values = make_arm()
    values["upper_velocity"][300] += 1.0
    values["lower"][500:502] -= 0.2
    assert locations(arm, "spike", values) == [(300, 301, "upper_velocity"), (500, 502, "lower")]
    assert all(fault.repairable for fault in faults(arm, "spike", values))


def test_a_motion_that_starts_after_a_pause_is_no_spike(arm):
    values = make_arm()
    moving = 0.01 * np.arange(len(values["upper"])) - 4.0
    rest = np.exp(-moving / 0.05)
    values["upper_velocity"] = np.where(moving < 0.0, 0.0, 20.0 - 14.0 * rest)
    values["upper"] = np.where(moving < 0.0, 0.0, 20.0 * moving - 0.7 * (1.0 - rest))
    assert locations(arm, "spike", values) == []


def test_a_slipped_encoder_is_a_step_and_no_spike(arm):
    values = make_arm()
    values["upper"][400:] += 0.3
    assert locations(arm, "slip", values) == [(399, 401, "upper")]
    assert locations(arm, "spike", values) == []
    assert "a step of 0.3 rad" in faults(arm, "slip", values)[0].actual


def test_a_clipped_velocity_is_contradicted_by_its_position(arm):
    values = make_arm()
    values["upper_velocity"] = np.clip(values["upper_velocity"], -3.5, 3.5)
    result = faults(arm, "saturated", values)
    assert {fault.channel for fault in result} == {"upper_velocity"}
    # cos(3 t) is beyond 3.5 / 4.5 for 43 % of the time
    assert sum(fault.stop - fault.start for fault in result) == pytest.approx(430, abs=20)


def test_a_clipped_position_is_contradicted_by_its_velocity_each_time(arm):
    values = make_arm(3000)
    values["upper"] = np.minimum(values["upper"], 1.2)
    result = faults(arm, "saturated", values)
    assert [fault.channel for fault in result] == ["upper"] * 15
    assert "1.2 rad" in result[0].actual


def resting_arm(bias: float):
    """Return 30 s at 100 Hz: 5 s of swinging up to the end of the path, then a rest there."""
    rows, random = 3000, np.random.default_rng(0)
    time = 0.01 * np.arange(rows)
    values = make_arm(rows)
    top = np.pi / 6 * 11  # of sin(3 t), the third time
    still = time > top
    values["upper"] = np.where(still, 1.5, 1.5 * np.sin(3 * np.minimum(time, top)))
    values["upper_velocity"] = np.where(still, 0.0, 4.5 * np.cos(3 * time))
    values["upper_velocity"] += bias + 0.005 * random.standard_normal(rows)
    return values


@pytest.mark.parametrize("bias", [0.03, -0.03])
def test_a_long_rest_at_the_end_of_a_path_is_not_blamed_for_the_bias_of_its_velocity(arm, bias):
    """The bias adds up to 0.7 rad in 24 s."""
    values = resting_arm(bias)
    assert locations(arm, "saturated", values) == []
    assert locations(arm, "stuck", values) == []


@pytest.mark.parametrize("offset", [4.5e6, 1e9])
def test_a_large_offset_hides_no_motion(arm, offset):
    """At 1e9 float64 holds steps of 1.2e-7 rad."""
    values = make_arm()
    values["upper"] = values["upper"] + offset
    assert [fault.channel for fault in apply_checks_to_track(values, arm).findings] == []
    values["upper"][300:400] = values["upper"][300]
    assert locations(arm, "stuck", values)[0][2] == "upper"


def correlation(values) -> float:
    slope = np.gradient(values["upper"], 0.01)
    return float(np.corrcoef(values["upper_velocity"], slope)[0, 1])


def test_a_velocity_that_differs_from_the_slope_by_half_its_spread_is_reported(arm):
    values = make_arm()
    noise = np.random.default_rng(1).standard_normal(1000)
    values["upper_velocity"] = values["upper_velocity"] + 0.64 * 3.18 * noise
    assert correlation(values) == pytest.approx(0.84, abs=0.02)
    assert [fault.channel for fault in faults(arm, "velocity", values)] == []  # it cancels
    (fault,) = faults(arm, "velocity_noise", values)
    assert (fault.start, fault.stop, fault.channel) == (0, 1000, "upper_velocity")
    assert "53% of its own standard deviation" in fault.actual
    verdict = apply_checks_to_track(values, arm)
    assert {item.check for item in verdict.findings} == {"velocity_noise"}
    assert verdict.pieces == [(0, 1000)]  # a warning


def test_noise_that_the_steps_of_the_position_explain_is_not_reported(arm):
    """An encoder of 2.9 mrad at 100 Hz: its slope is off by 0.2 rad/s, the velocity by more."""
    values = make_arm()
    values["upper"] = 0.05 * values["upper"]
    values["upper"] = 2.9e-3 * np.round(values["upper"] / 2.9e-3)
    values["upper_velocity"] = 0.05 * values["upper_velocity"] + 0.1 * np.random.default_rng(
        1
    ).standard_normal(1000)
    assert faults(arm, "velocity_noise", values) == []


def joint_task(unit: str) -> Task:
    """A joint whose angle a log has in degrees, with a speed that no pair declares."""
    channels = {
        "angle": {
            "role": "state", "kind": "angle", "unit": "rad",
            "source": {"name": "Angle (deg)", "unit": "deg"},
        },
        "speed": {"role": "state", "unit": unit},
    }  # fmt: skip
    return learning_task("joint", 0.01, channels)


@pytest.mark.parametrize(
    ("unit", "scale"), [("rad/s", 1.0), ("rpm", 9.549297), ("deg/s", 57.29578)]
)
def test_radians_in_a_column_of_degrees_are_found_by_a_speed_without_a_pair(unit, scale):
    arm = make_arm()
    task, speed = joint_task(unit), scale * arm["upper_velocity"]
    right = {"angle": arm["upper"], "speed": speed}
    assert faults(task, "angle_unit", right) == []
    (fault,) = faults(task, "angle_unit", {"angle": np.radians(arm["upper"]), "speed": speed})
    assert fault.channel == "angle"
    words = "57.3 times the change of angle: angle is in radians, but declared as degrees"
    assert words in fault.actual


def test_a_joint_at_its_stop_is_not_saturated(arm):
    values = make_arm()
    values["upper"][300:340], values["upper_velocity"][300:340] = 2.0, 0.0
    assert locations(arm, "saturated", values) == []


def test_a_velocity_that_overflows_is_named_with_its_range(arm):
    # A real drive's comes back minus 45.1 rad/s beyond 22.5.
    task = make_task()
    time = 0.01 * np.arange(1000)
    values = {
        "angle": 12.0 * np.sin(2.5 * time),
        "velocity": 30.0 * np.cos(2.5 * time),
        "torque": np.sin(time),
    }
    high = np.abs(values["velocity"]) > 22.55
    values["velocity"] -= 45.1 * np.sign(values["velocity"]) * high
    result = faults(task, "wrap_around", values)
    assert sum(fault.stop - fault.start for fault in result) == np.count_nonzero(high)
    assert "45.1 rad/s are missing" in result[0].actual


def test_a_counter_that_overflows_is_named_with_its_range(pendulum, swing):
    task = pendulum()
    linear = task.channels["angle"].model_copy(update={"kind": "linear"})
    task = task.model_copy(update={"channels": {**task.channels, "angle": linear}})
    time = 0.01 * np.arange(1000)
    values = {"angle": (4.0 * time) % 10.0, "velocity": np.full(1000, 4.0), "torque": time}
    expected = [(k, k + 2, "angle") for k in (249, 499, 749)]
    assert locations(task, "wrap_around", values) == expected


def test_a_dead_band_is_found_with_its_width(arm):
    values = make_arm()
    small = np.abs(values["lower_velocity"]) < 0.6
    values["lower_velocity"] = np.where(small, 0.0, values["lower_velocity"])
    (fault,) = faults(arm, "dead_band", values)
    assert (fault.start, fault.stop, fault.channel) == (0, 1000, "lower_velocity")
    assert float(fault.actual.split(" with ")[1].split()[0]) == pytest.approx(0.6, abs=0.15)


def test_a_velocity_in_steps_has_no_dead_band(arm):
    values = make_arm()
    values["lower_velocity"] = 0.2 * np.round(values["lower_velocity"] / 0.2)
    assert locations(arm, "dead_band", values) == []


def test_exchanged_velocities_are_both_named(arm):
    values = make_arm()
    one, other = values["upper_velocity"], values["lower_velocity"]
    values = {**values, "upper_velocity": other, "lower_velocity": one}
    expected = [(0, 1000, "upper_velocity"), (0, 1000, "lower_velocity")]
    assert locations(arm, "swapped", values) == expected


def test_degrees_are_told_from_radians_in_position_and_velocity(arm):
    values = make_arm()
    assert locations(arm, "angle_unit", {**values, "lower": np.degrees(values["lower"])}) == [
        (0, 1000, "lower")
    ]
    wrong = {**values, "upper_velocity": np.degrees(values["upper_velocity"])}
    assert locations(arm, "angle_unit", wrong) == [(0, 1000, "upper_velocity")]


def test_a_log_at_another_rate_shows_in_every_joint_and_is_no_scaled_velocity(arm):
    rows = np.arange(1000) / 5.0  # 500 Hz read as 100 Hz
    values = {name: np.interp(rows, np.arange(1000), item) for name, item in make_arm().items()}
    (fault,) = faults(arm, "time_unit", values)
    assert fault.channel is None
    assert "they seem 0.002 s apart" in fault.expected
    scaled = make_arm()
    scaled["upper_velocity"] *= 5.0
    assert locations(arm, "time_unit", scaled) == []


@pytest.mark.parametrize(
    ("factor", "unit"), [(1000.0, "ms"), (1e-3, "ms"), (1e6, "us"), (60.0, "min")]
)
def test_velocities_per_another_unit_of_time_are_named_with_it(pendulum, swing, factor, unit):
    """One joint alone: only the factors between units of time tell it from a scaled velocity."""
    task = pendulum()
    free = task.channels["velocity"].model_copy(update={"limits": None})
    task = task.model_copy(update={"channels": {**task.channels, "velocity": free}})
    values = swing()
    values["velocity"] = factor * values["velocity"]
    verdict = apply_checks_to_track(values, task)
    assert {item.check for item in verdict.findings} == {"time_unit"}
    fault = verdict.findings[0].fault
    assert f"as if timestamps in {unit} were read in another unit" in fault.actual
    assert (verdict.pieces, fault.channel) == ([], None)


def test_an_action_that_freezes_at_a_value_nobody_holds_is_found(arm):
    values = make_arm()
    values["torque"][230:280] = values["torque"][230]  # -0.39 N*m
    assert locations(arm, "frozen_action", values) == [(230, 280, "torque")]
    values["torque"][230:280] = 0.0
    assert locations(arm, "frozen_action", values) == []


def test_action_that_is_constant_while_a_joint_rests_is_not_frozen(arm):
    values = make_arm()
    values["torque"][230:280] = values["torque"][230]
    values["upper"][229:279] = values["upper"][229]  # feedback of a joint at its stop
    assert locations(arm, "frozen_action", values) == []
    values["upper"][200:350] = values["upper"][200]
    assert locations(arm, "frozen_action", values) == [(230, 280, "torque")]


def test_an_action_of_held_steps_is_not_frozen(arm):
    values = make_arm()
    values["torque"] = np.repeat(np.random.default_rng(0).uniform(-4, 4, 20), 50)
    assert locations(arm, "frozen_action", values) == []


def test_a_velocity_does_not_cross_its_limits_at_once(pendulum, swing):
    values = swing()
    values["velocity"][500:] += 15.0  # 5 rad/s a row for three rows: 500 rad/s^2
    task = pendulum(rate={"bounds": {"velocity": 400.0}})
    assert locations(task, "rate", values) == [(497, 503, "velocity")]
    assert locations(pendulum(), "rate", values) == []  # 40 rad/s in 0.02 s: 2000 rad/s^2


def test_a_late_velocity_is_told_from_a_scaled_one(arm):
    values = make_arm()
    values["upper_velocity"] = np.roll(values["upper_velocity"], 6)
    (fault,) = faults(arm, "velocity", values)
    assert fault.channel == "upper_velocity"
    assert re.search(r"a velocity 0\.06\d* s after|a velocity 0\.0599 s after", fault.actual)


def test_an_offset_of_five_times_the_noise_is_named(arm):
    values = make_arm()
    values["lower_velocity"] += 0.1
    (fault,) = faults(arm, "velocity", values)
    assert re.search(r"a velocity offset by (0\.1|0\.0999) rad/s", fault.actual)


def test_velocity_offset_from_the_middle_fails_its_half(arm):
    values = make_arm()
    assert locations(arm, "velocity", values) == []
    rows = len(values["lower_velocity"])
    values["lower_velocity"][rows // 2 :] += 0.2
    assert locations(arm, "velocity", values) == [(rows // 2, rows, "lower_velocity")]


@pytest.mark.parametrize("rest", [0, 2000])
def test_the_delay_of_a_drive_is_measured_where_it_moves(arm, rest):
    random = np.random.default_rng(0)
    torque = np.repeat(random.uniform(-4, 4, 200), 5)
    late = np.concatenate((np.zeros(4), torque[:-4]))  # action k acts from state k to k+1
    velocity = np.cumsum(0.01 * 2.0 * late)
    values = {
        **make_arm(),
        "torque": torque,
        "upper_velocity": velocity,
        "upper": np.cumsum(0.01 * velocity),
    }
    values = {
        name: np.concatenate((np.full(rest, column[0] * (name != "torque")), column))
        for name, column in values.items()
    }
    measured = measuring_checks(arm)["delay"].measure(values, arm)
    assert measured["delay_s"] == pytest.approx(0.03)
    assert measured["torque>upper_velocity:gain"] == pytest.approx(2.0, rel=0.05)


def test_a_delay_beyond_its_bound_is_a_fault(arm):
    torque = np.repeat(np.random.default_rng(0).uniform(-4, 4, 200), 5)
    velocity = np.cumsum(0.02 * np.concatenate((np.zeros(4), torque[:-4])))
    values = {**make_arm(), "torque": torque, "upper_velocity": velocity}
    values["upper"] = np.cumsum(0.01 * velocity)
    strict = type(arm.validation.delay)(max_delay=0.02)
    assert [fault.actual for fault in strict.find(values, arm)] == ["actions act 0.03 s late"]


def tank(level):
    """A tank whose level is known to a sensor of 0 to 10 V alone, every 0.01 s."""
    task = make_task()
    channel = task.channels["velocity"].model_copy(
        update={"derivative_of": None, "unit": "V", "limits": (0.0, 10.0)}
    )
    channels = {"level": channel, "pump": task.channels["torque"]}
    time = 0.01 * np.arange(1000)
    return task.model_copy(update={"channels": channels}), {"level": level(time), "pump": 0 * time}


def test_a_level_beyond_its_sensor_is_told_and_kept():
    task, values = tank(lambda time: np.clip(6.0 + 5.0 * np.sin(2.0 * time), 0.0, 10.0))
    verdict = apply_checks_to_track(values, task)
    # sin is above 0.8 for 0.643 rad to either side of its top: at 2 rad/s that is 64 rows
    assert [item.check for item in verdict.findings] == ["clipped"] * 3
    assert {item.fault.stop - item.fault.start for item in verdict.findings} <= {64, 65}
    assert "rows at its limit, 10 V, where its slopes lead beyond" in verdict.findings[0].message
    assert verdict.pieces == [(0, 1000)]
    strict = type(task.validation.clipped)(on_fault="split")
    strict = task.validation.model_copy(update={"clipped": strict})
    cut = apply_checks_to_track(values, task.model_copy(update={"validation": strict}))
    assert 192 <= cut.dropped["clipped"] <= 195


@pytest.mark.parametrize(
    "level",
    [
        lambda time: 5.0 + 4.0 * np.sin(2.0 * time),
        lambda time: np.round(2.0 * (5.0 + 4.0 * np.sin(2.0 * time))) / 2.0,  # steps of 0.5 V
        lambda time: np.round(100.0 * (5.0 + 4.0 * np.sin(2.0 * time))) / 100.0,
        lambda time: np.where(np.sin(2.0 * time) > 0.0, 9.0, 1.0),  # a valve
        lambda time: np.minimum(2.0 * time, 10.0),  # filled, and then it stays so
    ],
)
def test_peaks_steps_valves_and_full_tanks_are_not_clipped(level):
    task, values = tank(level)
    assert locations(task, "clipped", values) == []


def test_a_row_beside_lost_ones_is_not_blamed_for_them(arm):
    """Of backward differences the row after a loss has no difference to be compared with."""
    values = make_arm()
    for joint in ("upper", "lower"):
        values[f"{joint}_velocity"] = np.diff(values[joint], prepend=values[joint][0]) / 0.01
        values[f"{joint}_velocity"][0] = values[f"{joint}_velocity"][1]
    values["torque"][300] = np.nan
    assert [item.check for item in apply_checks_to_track(values, arm).findings] == ["nonfinite"]


@pytest.mark.parametrize("rule", ["split", "repair"])
def test_short_losses_and_spikes_are_repaired_where_the_task_says_so(pendulum, swing, rule):
    values = swing()
    truth = values["angle"][300:303].copy()
    values["angle"][300:303] = np.nan
    values["velocity"][600] += 8.0
    values["angle"][800:820] = np.nan  # longer than repair_rows
    verdict = apply_checks_to_track(values, pendulum(on_fault=rule))
    if rule == "split":
        assert verdict.pieces == [(0, 300), (303, 600), (601, 800), (820, 1000)]
        return
    assert verdict.pieces == [(0, 800), (820, 1000)]
    assert verdict.dropped == {"nonfinite": 20}
    assert verdict.repaired["angle"][300:303] == pytest.approx(truth, abs=2e-3)
    assert verdict.repaired["velocity"][600] == pytest.approx(4.5 * np.cos(18.0), abs=1e-2)
    assert [item.repaired for item in verdict.findings] == [True, False, True]


def test_a_loss_at_the_end_of_a_track_has_nothing_to_interpolate_from(pendulum, swing):
    values = swing()
    values["angle"][997:] = np.nan
    assert apply_checks_to_track(values, pendulum(on_fault="repair")).pieces == [(0, 997)]


def test_a_recording_all_in_degrees_stands_out_of_the_others(pendulum, swing):
    task = pendulum()
    runs = {f"run {k}": swing(phase=0.3 * k) for k in range(4)}
    runs["run 4"] = {name: np.degrees(values) for name, values in swing().items()}
    statistics = {
        run: {f"{name}:std": [float(np.std(own))] for name, own in values.items()}
        for run, values in runs.items()
    }
    usual = results.usual_stds([*statistics.values()], task)
    (outlier,) = [
        one
        for run, own in statistics.items()
        for one in results.find_unit_outliers(run, own, usual, task)
    ]
    assert (outlier.recording, outlier.channels) == ("run 4", ["angle", "velocity"])
    assert "in degrees" in outlier.actual
    assert results.usual_stds([*statistics.values()][:2], task) == {}


@pytest.mark.parametrize(("factor", "result"), [(1.0, 0), (1.2, 1)])
def test_a_wheel_at_constant_speed_is_judged_by_the_ratio_alone(factor, result):
    """10 rad/s for 1 s: all windows are alike but for rounding, which is no scale of 1.22."""
    moved = np.diff(np.arange(0, 100, 5) / 10.0)
    scale, offset = slope_and_offset(factor * moved + 1e-15, moved, 0.05)
    assert (scale, offset) == (pytest.approx(factor, abs=1e-9), 0.0)
    assert bool(abs(scale - 1) > 0.03) is bool(result)


def short_path(shape, scale: float = 1.0):
    """A joint that starts from rest with velocities of a shape, rad/s, by semi-implicit Euler."""
    velocity, values = np.array(shape), make_arm(len(shape))
    values["upper_velocity"], values["upper"] = scale * velocity, 0.01 * np.cumsum(velocity)
    return values


PATHS = [[0.0, 0.1, 0.4, 0.9, 1.6], [0.0, 0.75, 1.1, 1.3, 1.4], [0.0, 0.75, 1.2, 1.35, 1.425]]


@pytest.mark.parametrize("shape", PATHS)
def test_half_a_row_in_a_path_of_few_rows_is_no_error_of_scale(arm, shape):
    result = [fault.channel for fault in faults(arm, "velocity", short_path(shape))]
    assert "upper_velocity" not in result


@pytest.mark.parametrize("shape", PATHS)
@pytest.mark.parametrize("scale", [-1.0, 3.0, 57.29578])
def test_a_velocity_in_another_unit_is_found_in_a_path_of_few_rows(arm, shape, scale):
    result = [fault.channel for fault in faults(arm, "velocity", short_path(shape, scale))]
    assert "upper_velocity" in result


def servo(speed):
    """Return a servo whose speed is known every 0.01 s, with a noisy torque; counts, counts/s."""
    task = make_task()
    linear = {"kind": "linear", "unit": "1", "limits": None}
    channels = {
        "angle": task.channels["angle"].model_copy(update=linear),
        "velocity": task.channels["velocity"].model_copy(update=linear | {"unit": "1/s"}),
        "torque": task.channels["torque"],
    }
    torque = np.random.default_rng(0).uniform(-1.0, 1.0, len(speed))
    values = {"angle": 0.01 * np.cumsum(speed), "velocity": speed, "torque": torque}
    return task.model_copy(update={"channels": channels}), values


def make_ramps():
    """Return 30 s of speeds that are held for a second each, counts/s."""
    speeds = np.repeat(np.random.default_rng(1).uniform(-9.0, 9.0, 20), 2)
    knots = (1.5 * np.arange(20)[:, None] + [0.0, 1.0]).ravel()
    return np.interp(0.01 * np.arange(3000), knots, speeds)


def test_resolution_position_and_velocity_in_whole_counts_passes_every_check():
    task, values = servo(make_ramps())
    values = values | {name: np.round(values[name]) for name in ("angle", "velocity")}
    assert apply_checks_to_track(values, task).findings == []


def test_resolution_velocity_frozen_among_whole_counts_is_found():
    task, values = servo(make_ramps())
    values = values | {name: np.round(values[name]) for name in ("angle", "velocity")}
    values["velocity"][1000:1300] = values["velocity"][1000]
    found = locations(task, "stuck", values)
    assert any(name == "velocity" and start <= 1000 and stop >= 1300 for start, stop, name in found)


def test_slip_velocity_reversed_within_a_row_is_not_found():
    task, values = servo(np.where(np.arange(1000) % 200 < 100, 0.1, -0.1))
    values["angle"] += 1e-4 * np.random.default_rng(0).standard_normal(1000)
    assert locations(task, "slip", values) == locations(task, "spike", values) == []


def test_dead_band_motion_stopped_within_a_row_is_not_found():
    task, values = servo(np.where(np.arange(1000) % 200 < 100, 5.0, 0.0))
    assert locations(task, "dead_band", values) == []


def test_clipped_brake_at_rest_at_zero_is_not_found():
    task, values = tank(lambda time: np.maximum(8.0 * np.sin(2.0 * time) - 6.0, 0.0))
    assert locations(task, "clipped", values) == []
    task, values = tank(lambda time: np.maximum(8.0 * np.sin(4.0 * time), 0.0))  # half of a wave
    assert len(locations(task, "clipped", values)) == 6


def test_slip_spike_of_a_single_row_is_only_a_spike(arm):
    values = make_arm()
    values["upper"][500] += 0.6
    assert locations(arm, "slip", values) == []
    assert locations(arm, "spike", values) == [(500, 501, "upper")]
