"""Reading HDF5: episode groups of three conventions, plain arrays with a rate, hostile files."""

import h5py
import numpy as np
import pytest

from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.raw import RawLog
from kinemill.ingest.readers.hdf5 import read
from tests.ingest.conftest import refusals, with_ingest

FRAME = np.arange(24.0).reshape(8, 3)  # row k, column c: 3k + c


@pytest.fixture
def arm(make_task):
    """Angle, velocity and torque where robot learning keeps them."""
    return make_task(
        ("observations/joints[0]", "observations/joints[2]", "actions[1]"), ingest__rate=100.0
    )


def episode(group: h5py.Group, rows: int = 8, more: int = 0) -> None:
    group["observations/joints"] = FRAME[: rows + more] if more else FRAME[:rows]
    group["actions"] = -FRAME[:rows, :2]


def test_episode_groups_are_parts_in_the_order_of_their_numbers(logs, arm):
    with h5py.File(logs / "a.h5", "w") as file:
        for number in (10, 2, 0):
            episode(file.create_group(f"episode_{number}"), rows=number % 7 + 2)
        file["notes"] = np.zeros(3)
    parts = read(logs / "a.h5", arm)
    expected = [("episode_0", 2), ("episode_2", 4), ("episode_10", 5)]
    assert [(log.part, log.frame.height) for log in parts] == expected
    assert parts[1].frame.row(3) == (3, 9.0, 11.0, -10.0)
    assert parts[1].ticks == 100.0


def test_a_last_observation_without_action_is_left_out_and_named(logs, arm):
    with h5py.File(logs / "a.h5", "w") as file:  # as Minari writes: one more observation
        episode(file.create_group("episode_0"), rows=7, more=1)
    (log,) = read(logs / "a.h5", arm)
    assert (log.frame.height, log.dropped_rows) == (7, 1)
    assert [(item["check"], item["where"]) for item in log.reasons] == [("last_row", "row 8")]


def test_one_damaged_episode_does_not_spoil_the_others(logs, arm, home):
    with h5py.File(logs / "a.h5", "w") as file:
        for number in range(3):
            episode(file.create_group(f"episode_{number}"))
        del file["episode_1/actions"]
        file["episode_1/actions"] = FRAME[:3, :2]
    report = ingest.run(arm, home, logs)
    (entry,) = report.files
    (recording,) = load_recordings(home, report.artifact.ref)
    assert [track.rows for track in recording.summary.tracks] == [8, 8]
    (item,) = entry["reasons"]
    assert item["check"] == "rows"
    assert "episode_1" in item["where"]
    assert "angle 8, velocity 8, torque 3" in item["found"]


@pytest.mark.parametrize("name", ["traj_{}", "trajectory_{}", "demo_{}"])
def test_numbered_trajectories_are_parts(logs, arm, name):
    with h5py.File(logs / "a.h5", "w") as file:
        for number in range(2):
            episode(file.create_group(name.format(number)))
    parts = [name.format(number) for number in range(2)]
    assert [log.part for log in read(logs / "a.h5", arm)] == parts


def test_groups_of_any_name_are_parts_when_the_task_says_so(logs, arm, make_task):
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file.create_group("runs/left"))
        episode(file.create_group("runs/right"))
        episode(file.create_group("calibration/left"))
    task = with_ingest(arm, groups=["runs/*"])
    assert [log.part for log in read(logs / "a.h5", task)] == ["runs/left", "runs/right"]
    none = with_ingest(arm, groups=["run_*"])
    (item,) = refusals(read, logs / "a.h5", none)
    assert (item["check"], item["found"]) == ("groups", "no group matches 'run_*'")
    assert "runs/left" in item["expected"]


def test_a_leading_slash_names_a_data_set_outside_the_episode(logs, make_task):
    task = make_task(("q", "qd", "/u"))
    with h5py.File(logs / "a.h5", "w") as file:
        for number in range(2):
            group = file.create_group(f"episode_{number}")
            group["q"], group["qd"] = np.arange(4.0), np.ones(4)
            group["time"] = np.arange(4) * 0.01
        file["u"] = np.arange(4.0) * 10
    assert [log.frame["torque"].to_list() for log in read(logs / "a.h5", task)] == [
        [0.0, 10.0, 20.0, 30.0]
    ] * 2


@pytest.mark.parametrize(
    ("name", "value", "rate"), [("fs", 50.0, 50.0), ("dt", 0.02, 50.0), ("FPS", np.int32(30), 30.0)]
)
@pytest.mark.parametrize("as_attribute", [False, True])
def test_the_rate_is_what_the_file_states(logs, task, name, value, rate, as_attribute):
    with h5py.File(logs / "a.h5", "w") as file:
        file["position"], file["velocity"], file["torque"] = FRAME.T
        if as_attribute:
            file.attrs[name] = value
        else:
            file[name] = value
    log = read(logs / "a.h5", task)
    assert isinstance(log, RawLog)
    assert (log.ticks, log.frame["time_s"].to_list()) == (pytest.approx(rate), list(range(8)))


def test_without_stamps_or_rate_the_reason_says_how_to_give_one(logs, task):
    with h5py.File(logs / "a.h5", "w") as file:
        file["position"], file["velocity"], file["torque"] = FRAME.T
    (item,) = refusals(read, logs / "a.h5", task)
    assert "`ingest.rate` in Hz" in item["fix"]


def test_images_text_and_matrices_say_why_they_are_no_channels(logs, make_task):
    task = make_task(("camera", "language", "actions"), ingest__rate=10.0)
    with h5py.File(logs / "a.h5", "w") as file:
        file["camera"] = np.zeros((5, 48, 64, 3), np.uint8)
        file["language"] = ["go"] * 5
        file["actions"] = np.zeros((5, 2))
    angle, velocity, torque = refusals(read, logs / "a.h5", task)
    assert "holds images, (5, 48, 64, 3)" in angle["found"]
    assert "holds text" in velocity["found"]
    assert "has 2 columns; name one, such as `actions[0]`" in torque["found"]


def test_rows_that_were_declared_and_never_written_are_refused(logs, task):
    with h5py.File(logs / "a.h5", "w") as file:
        for name in ("position", "velocity", "torque", "time"):
            file.create_dataset(name, shape=(10**7,), dtype="f8", chunks=(1 << 16,))
    (item, *_) = refusals(read, logs / "a.h5", task)
    assert item["found"] == "declares 8e+07 bytes, of which 0 are stored"


def test_a_data_set_of_one_enormous_chunk_is_refused(logs, task):
    with h5py.File(logs / "a.h5", "w") as file:
        file["position"], file["velocity"], file["time"] = FRAME.T
        file.create_dataset(
            "torque",
            shape=(8,),
            dtype="f4",
            maxshape=(None,),
            chunks=(1 << 28,),
            compression="gzip",
        )
    (item,) = refusals(read, logs / "a.h5", task)
    assert "chunks of 1.07e+09 bytes" in item["found"]


def test_nothing_outside_the_file_is_read(logs, tmp_path, task):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(8.0).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.arange(8.0)
    layout = h5py.VirtualLayout(shape=(8,), dtype="f8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", shape=(8,))
    with h5py.File(logs / "a.h5", "w") as file:
        file["time"] = np.arange(8.0)
        file["position"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
        file.create_dataset("velocity", (8,), "f8", external=[(str(secret), 0, 64)])
        file.create_virtual_dataset("torque", layout)
    angle, velocity, torque = refusals(read, logs / "a.h5", task)
    assert "is a link into another file" in angle["found"]
    assert "keeps its data in another file" in velocity["found"]
    assert "keeps its data in another file" in torque["found"]


def test_groups_that_hold_each_other_end_as_a_refusal(logs, task):
    with h5py.File(logs / "a.h5", "w") as file:
        file.create_group("a/b")
        file["a/b/back"] = file["a"]
    (item,) = refusals(read, logs / "a.h5", task)
    assert item["check"] == "format"


def test_flags_in_one_table_separate_its_episodes(logs, arm):
    # As D4RL stores them: row 2 is terminal, and row 4 is the last one before a reset.
    with h5py.File(logs / "a.hdf5", "w") as file:
        episode(file)
        file["terminals"] = np.arange(8) == 2
        file["timeouts"] = np.arange(8) == 4
    parts = read(logs / "a.hdf5", arm)
    expected = [("episode 0", 3), ("episode 1", 2), ("episode 2", 3)]
    assert [(log.part, log.frame.height) for log in parts] == expected
    assert parts[1].frame["angle"].to_list() == [9.0, 12.0]
    assert parts[1].ticks == 100.0


@pytest.mark.parametrize("flags", [np.arange(8) == 7, np.arange(8) > 3, np.zeros(8)])
def test_a_flag_of_the_last_row_or_of_a_state_leaves_one_episode(logs, arm, flags):
    with h5py.File(logs / "a.hdf5", "w") as file:
        episode(file)
        file["done"] = flags
    assert isinstance(read(logs / "a.hdf5", arm), RawLog)


@pytest.mark.parametrize(
    ("text", "rate"),
    [('{"env_kwargs": {"control_freq": 20}}', 20.0), ('{"env_kwargs": {}}', None), ("{", None)],
)
def test_demonstrations_state_the_control_rate_of_their_environment(logs, make_task, text, rate):
    task = make_task(("obs/q[1]", "obs/q[2]", "actions"))
    with h5py.File(logs / "a.hdf5", "w") as file:
        group = file.create_group("data/demo_0")
        group["obs/q"], group["actions"] = FRAME, FRAME[:, 0]
        file["data"].attrs["env_args"] = text
    (log,) = read(logs / "a.hdf5", task)
    assert (log.ticks, not log.reasons) == (rate or 1.0, rate is not None)


def test_packed_numbers_are_unpacked_by_their_attributes(logs, task):
    with h5py.File(logs / "a.h5", "w") as file:
        for name in ("time", "position", "velocity", "torque"):
            file[name] = 0.01 * np.arange(3)
        del file["position"]
        file["position"] = np.array([100, -32768, 300], dtype=np.int16)
        stated = {"scale_factor": 0.01, "add_offset": 1.0, "_FillValue": np.int16(-32768)}
        file["position"].attrs.update(stated)
    log = read(logs / "a.h5", task)
    assert isinstance(log, RawLog)
    assert log.frame["angle"].to_numpy() == pytest.approx([2.0, np.nan, 4.0], nan_ok=True)
