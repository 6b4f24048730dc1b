"""Channels that no log has: derivatives without phase lag, and expressions of other channels."""

import numpy as np
import pytest

from kinemill.errors import TaskError
from kinemill.ingest import stage as ingest
from kinemill.ingest.computed import derivative
from kinemill.ingest.recordings import open_recording, recording_inputs
from kinemill.ingest.rows import read_rows
from kinemill.ingest.snapshot import Snapshot
from kinemill.task import Task, make_task
from kinemill.task.computed import computation_order, estimator_rows, half_width
from kinemill.validate import stage as validate
from tests.conftest import load_task_in

DT = 0.01
CHANNELS = {
    "angle": {"role": "state", "kind": "angle", "unit": "rad"},
    "velocity": {"role": "state", "unit": "rad/s", "derived": "derivative", "of": "angle"},
    "torque": {"role": "action", "unit": "N*m"},
    "power": {"role": "output", "unit": "W", "expression": "torque * velocity"},
    "loss": {"role": "observation", "unit": "W", "expression": "0.1 * abs(power) + 2"},
}


def settings(channels: dict, **more) -> dict:
    return {
        "task": "arm",
        "dt": DT,
        "channels": channels,
        "ingest": {"min_file_age": 0},
        "validate": {"min_steps": 5},
        "learn": {"type": "dynamics", "model": {"type": "mlp"}},
        **more,
    }


def the_task(channels: dict | None = None) -> Task:
    return Task.model_validate(settings(CHANNELS if channels is None else channels))


def tracks(task: Task, home, folder, *columns: np.ndarray) -> list:
    """Ingest a log of time in s, angle and torque, written into a folder; return its tracks."""
    table = np.stack(columns, axis=1)
    np.savetxt(folder / "a.csv", table, "%.17g", ",", header="time,angle,torque", comments="")
    report = ingest.run(task, home, folder / "a.csv")
    recording = open_recording(home, next(iter(Snapshot(home, report.artifact.ref))))
    return [read_rows(recording.folder / track.file) for track in recording.summary.tracks]


def test_a_derivative_has_neither_lag_nor_bias_below_the_cutoff():
    seconds = np.arange(1000) * DT
    for hertz in (0.2, 1.0, 2.0):
        omega = 2 * np.pi * hertz
        slope = derivative(np.sin(omega * seconds), DT, 5)
        error = slope - omega * np.cos(omega * seconds)
        assert np.abs(error[20:-20]).max() < 0.005 * omega
        assert np.abs(error).max() < 0.06 * omega  # at the ends as well


def test_a_derivative_of_a_cubic_is_exact_at_the_ends_and_far_from_zero():
    seconds = np.arange(60) * DT
    value = 1e6 + 3 * seconds - 2 * seconds**2 + 5 * seconds**3
    slope = derivative(value, DT, 6)
    assert np.abs(slope - (3 - 4 * seconds + 15 * seconds**2)).max() < 1e-6


def test_noise_above_the_cutoff_is_damped():
    noise = np.random.default_rng(0).standard_normal(20_000)
    rough = np.gradient(noise, DT).std()
    assert derivative(noise, DT, 5).std() < 0.5 * rough
    # The variance of a slope falls with the cube of the rows: (21 / 11)^-1.5 = 0.38.
    assert derivative(noise, DT, 10).std() < 0.42 * derivative(noise, DT, 5).std()


@pytest.mark.parametrize(("cutoff", "dt"), [(5.0, 0.01), (10.0, 0.002), (40.0, 0.001)])
def test_the_cutoff_is_where_the_power_is_halved(cutoff, dt):
    channel = the_task(
        {**CHANNELS, "velocity": {**CHANNELS["velocity"], "cutoff": cutoff}}
    ).channels["velocity"]
    half = half_width(channel, dt)

    def gain(hertz: float) -> float:
        seconds = np.arange(40 * half + 400) * dt
        slope = derivative(np.sin(2 * np.pi * hertz * seconds), dt, half)
        return float(np.abs(slope[2 * half : -2 * half]).max() / (2 * np.pi * hertz))

    assert gain(0.5 * cutoff) > 0.85
    assert gain(1.6 * cutoff) < 0.5


def test_nan_is_never_bridged():
    value = np.arange(30.0)
    value[[10, 12]] = np.nan
    slope = derivative(value, DT, 3)
    assert np.isnan(slope[10:13]).all()  # row 11 stands alone
    assert np.abs(np.delete(slope, [10, 11, 12]) - 100.0).max() < 1e-9


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6])
def test_a_stretch_shorter_than_the_window_uses_what_it_has(rows):
    slope = derivative(2.0 * np.arange(rows) * DT, DT, 8)
    assert np.isnan(slope).all() if rows == 1 else np.abs(slope - 2.0).max() < 1e-9


def test_computed_channels_follow_those_they_are_made_of():
    assert computation_order(the_task().channels) == ["velocity", "power", "loss"]
    assert the_task().logged == ["angle", "torque"]
    assert the_task().derived == {"velocity": "angle"}


def test_a_track_has_computed_columns_and_the_log_none(home, tmp_path):
    seconds = np.arange(400) * DT
    angle = np.sin(3 * seconds)
    (frame,) = tracks(the_task(), home, tmp_path, seconds, angle, np.cos(seconds))
    assert frame.columns == ["time_s", "angle", "velocity", "torque", "power", "loss"]
    velocity = frame["velocity"].to_numpy()
    assert np.abs(velocity - 3 * np.cos(3 * seconds)).max() < 0.01
    power = frame["power"].to_numpy()
    assert np.array_equal(power, frame["torque"].to_numpy() * velocity)
    assert np.array_equal(frame["loss"].to_numpy(), 0.1 * np.abs(power) + 2)


def test_a_gap_between_timestamps_is_not_differentiated_over(home, tmp_path):
    seconds = np.concatenate([np.arange(100), np.arange(300, 400)]) * DT
    angle = np.where(seconds < 2.0, 0.5 * seconds, 3.0 - 0.5 * seconds)
    first, second = tracks(the_task(), home, tmp_path, seconds, angle, 0 * seconds)
    assert np.abs(first["velocity"].to_numpy() - 0.5).max() < 1e-9
    assert np.abs(second["velocity"].to_numpy() + 0.5).max() < 1e-9


def test_a_wrapped_angle_has_the_velocity_of_its_turns(home, tmp_path):
    seconds = np.arange(300) * DT
    angle = (6.0 * seconds + np.pi) % (2 * np.pi) - np.pi
    (frame,) = tracks(the_task(), home, tmp_path, seconds, angle, 0 * seconds)
    assert np.abs(frame["velocity"].to_numpy() - 6.0).max() < 1e-6


def test_what_an_expression_cannot_compute_is_cut_out_by_validation(home, tmp_path):
    channels = {
        **CHANNELS,
        "ratio": {"role": "output", "unit": "1", "expression": "1 / torque + sqrt(angle)"},
    }
    seconds = np.arange(200) * DT
    torque, angle = np.ones(200), 0.5 + 0.1 * np.sin(seconds)
    torque[50], angle[120] = 0.0, -0.01
    task = the_task(channels)
    (frame,) = tracks(task, home, tmp_path, seconds, angle, torque)
    assert np.flatnonzero(np.isnan(frame["ratio"].to_numpy())).tolist() == [50, 120]
    accepted = validate.run(task, home, ingest.run(task, home, tmp_path / "a.csv").artifact.ref)
    from kinemill.validate.summary import EpisodesSummary

    assert EpisodesSummary.read(home, accepted.ref).rows == 198


def test_a_constant_expression_fills_the_column(home, tmp_path):
    channels = {**CHANNELS, "gravity": {"role": "output", "unit": "m/s^2", "expression": "9.81"}}
    seconds = np.arange(50) * DT
    (frame,) = tracks(the_task(channels), home, tmp_path, seconds, seconds, seconds)
    assert (frame["gravity"] == 9.81).all()


def test_the_key_of_a_recording_has_the_computation(home):
    class Member:
        hash, suffix = "h", ".csv"

    def key(channels):
        return recording_inputs(the_task(channels), Member())

    other = {**CHANNELS, "velocity": {**CHANNELS["velocity"], "cutoff": 3.0}}
    assert key(CHANNELS) != key(other)
    plain = {name: CHANNELS[name] for name in ("angle", "torque")}
    assert set(key(plain)["task"]["channels"]["angle"]) == {
        "role", "kind", "unit", "source", "resample"
    }  # fmt: skip


def test_the_estimate_at_run_time_needs_a_bounded_number_of_rows():
    velocity = the_task().channels["velocity"]
    assert estimator_rows([velocity], 0.02) == 11
    assert estimator_rows([velocity], 1e-4) == 32
    assert estimator_rows([the_task().channels["angle"]], 0.02) == 1


@pytest.mark.parametrize(
    ("name", "channel", "message"),
    [
        ("velocity", {"of": "angel"}, r"channels\.velocity\.of: no number 'angel'; did you mean"),
        ("velocity", {"of": "velocity"}, "computed from itself|not a measured state"),
        ("velocity", {"of": "torque"}, "'torque' is not a measured state"),
        ("velocity", {"of": "power"}, "'power' is not a measured state"),
        ("velocity", {"unit": "rad"}, "rad is not rad per time"),
        ("velocity", {"unit": "deg/s"}, "the unit of a derived state is rad per s, not deg/s"),
        ("velocity", {"source": "qd"}, "`source` and `resample` are for a column of the log"),
        ("velocity", {"kind": "coordinate"}, "a derivative is of kind linear"),
        ("velocity", {"role": "action"}, "`derived` cannot give a channel of role action"),
        ("velocity", {"derivative_of": "torque"}, "is derived from 'angle', but `derivative_of`"),
        ("velocity", {"expression": "angle"}, "both derived and an expression"),
        ("velocity", {"of": None}, "`derived` needs `of`"),
        ("velocity", {"cutoff": 0}, "greater than 0"),
        ("angle", {"cutoff": 3.0}, "`cutoff` needs `derived: derivative`"),
        ("angle", {"of": "torque"}, "`of` needs `derived: derivative`"),
        ("power", {"expression": "torque * speed"}, r"power\.expression: no number 'speed'"),
        ("power", {"expression": "loss + 1"}, "'power' is computed from itself"),
        ("power", {"expression": "open('x')"}, "'open' in .* is not a function"),
        ("power", {"expression": "torque.real"}, "neither a number, a name nor arithmetic"),
        ("power", {"expression": "torque *"}, "is not a formula"),
        ("power", {"resample": "hold"}, "`source` and `resample` are for a column of the log"),
    ],
    ids=str,
)
def test_a_task_with_an_impossible_computation_is_refused(name, channel, message, tmp_path):
    changed = {**CHANNELS[name], **channel}
    document = settings(
        {**CHANNELS, name: {key: value for key, value in changed.items() if value is not None}}
    )
    with pytest.raises(TaskError, match=message):
        load_task_in(tmp_path, document)


def test_the_web_sets_no_expression():
    with pytest.raises(TaskError, match=r"channels\.power\.expression"):
        make_task(settings(CHANNELS), {"channels.power.expression": "torque"}, web=True)


def test_images_cannot_be_computed(tmp_path):
    camera = {"role": "image", "expression": "torque"}
    with pytest.raises(TaskError, match="`expression` cannot give a channel of role image"):
        load_task_in(tmp_path, settings({**CHANNELS, "camera": camera}))
