"""MCAP: topics at rates of their own, clocks that are reset, files that are cut or damaged."""

import json

import numpy as np
import pytest
import zstandard
from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType, Writer

from kinemill.draft.schema_inference import empty_task, survey
from kinemill.errors import BadLog
from kinemill.ingest.raw import Header, Unreadable
from kinemill.ingest.readers.mcap import read
from kinemill.ingest.tracks import make_tracks
from kinemill.task import load_task
from tests.ingest.conftest import refusals, with_ingest
from tests.ingest.messages import START, TASK, run, write_mcap


def timed_by(task, *names):
    return with_ingest(task, time=list(names))


def checks(log) -> list[str]:
    return [item["check"] for item in log.reasons]


def test_values_are_those_that_json_holds(request, shared_data):
    task = load_task(request.config.rootpath / "tests" / "tasks" / "cart_pole_sim.yaml")
    path = shared_data / "cartpole_sim_mcap" / "simulation_example.mcap"
    (frame,) = make_tracks(read(path, task), task).frames
    with path.open("rb") as file:
        messages = [json.loads(one.data) for _, _, one in make_reader(file).iter_messages()]
    assert frame["time_s"].to_numpy() == pytest.approx([message["stamp"] for message in messages])
    assert frame["cart_position"].to_list() == [message["cart_position"] for message in messages]
    assert frame["pole_velocity"].to_list() == [
        message["pole_angular_velocity"] for message in messages
    ]


def test_a_clock_reset_57_times_makes_58_tracks(tmp_path, arm):
    """An episode of a simulator starts at 0 again; the slow topic comes but four times in each."""
    messages = [message for _ in range(58) for message in run(start=0, seconds=0.2)]
    tracks = make_tracks(read(write_mcap(tmp_path / "a.mcap", messages, chunk=5000), arm), arm)
    assert [frame.height for frame in tracks.frames] == [16] * 58  # 3 to 153 ms
    assert all(frame["torque"].to_list()[0] == 0.0 for frame in tracks.frames)
    assert all(
        float(frame["angle"][0]) == pytest.approx(0.003, abs=1e-5) for frame in tracks.frames
    )


def test_the_slow_topic_of_a_new_run_is_not_held_from_the_run_before(tmp_path, arm):
    """The second run has no command before 0.5 s, later than any of the first."""
    first = run(start=0, seconds=0.5)
    second = [m for m in run(start=0, seconds=1.0) if m[0] == "/joints" or m[1] > 500_000_000]
    tracks = make_tracks(read(write_mcap(tmp_path / "a.mcap", first + second), arm), arm)
    assert [frame.height for frame in tracks.frames] == [46, 46]
    assert tracks.frames[1]["torque"].to_list()[0] == 10.0
    assert float(tracks.frames[1]["time_s"][0]) == pytest.approx(0.503)


def test_epoch_stamps_keep_their_nanoseconds(tmp_path, arm):
    messages = [(topic, at + 7, message) for topic, at, message in run()]
    log = read(write_mcap(tmp_path / "a.mcap", messages), arm)
    assert log.signals["angle"].time[1] == START + 10_000_007


def test_stamps_of_a_field_are_in_the_unit_that_the_task_says(tmp_path, arm):
    messages = [
        (topic, 0, {**message, "t": (at - START) / 1e6, "header": {"stamp": {"sec": 3, "nsec": 5}}})
        for topic, at, message in run()
    ]
    path = write_mcap(tmp_path / "a.mcap", messages)
    milliseconds = with_ingest(arm, time_unit="ms")
    assert read(path, milliseconds).signals["angle"].time.to_list()[:2] == [0, 10_000_000]
    assert read(path, timed_by(arm, "header.stamp")).signals["angle"].time[0] == 3_000_000_005
    with pytest.raises(Unreadable, match="its topic has no stamp 'clock'"):
        read(path, timed_by(arm, "clock"))
    assert read(path, timed_by(arm, "clock", "log_time")).signals["angle"].time[0] == 0


def test_timestamp_that_the_log_contradicts_is_not_the_clock_and_named(tmp_path, arm):
    """The fields of PX4 count us; the stamps of a simulation at half speed are no log times."""
    messages = [
        (topic, at, {**message, "timestamp": (at - START) // 1000}) for topic, at, message in run()
    ]
    log = read(write_mcap(tmp_path / "px4.mcap", messages), arm)
    assert log.signals["angle"].time[1] == START + 10_000_000
    assert {item["check"] for item in log.reasons} == {"pace"}
    assert "'timestamp' rises by 1e+06 s in each second" in log.reasons[0]["found"]
    simulated = [
        (topic, at, {**message, "header": {"stamp": {"sec": 3, "nsec": (at - START) // 2}}})
        for topic, at, message in run()
    ]
    log = read(write_mcap(tmp_path / "simulated.mcap", simulated), arm)
    assert "'header.stamp' rises by 0.5 s" in log.reasons[0]["found"]
    assert read(tmp_path / "simulated.mcap", timed_by(arm, "header.stamp")).reasons == []


def test_a_message_without_the_field_is_a_missing_value(tmp_path, arm):
    messages = run()
    messages[5][2]["position"] = []
    log = read(write_mcap(tmp_path / "a.mcap", messages), arm)
    assert log.signals["angle"].values.null_count() == 1
    tracks = make_tracks(log, arm)
    assert [item["check"] for item in tracks.reasons] == ["missing"]


def test_a_file_cut_in_the_middle_is_read_as_far_as_it_goes(tmp_path, arm):
    whole = write_mcap(tmp_path / "a.mcap", run(), chunk=2000).read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: len(whole) // 2])
    log = read(cut, arm)
    assert checks(log)[-1] == "cut_file"
    (frame,) = make_tracks(log, arm).frames
    assert 60 < frame.height < 160
    np.testing.assert_allclose(
        frame["angle"], np.sin(0.003 + 0.01 * np.arange(frame.height)), atol=1.3e-5
    )


def test_without_compression_a_cut_chunk_gives_what_it_has(tmp_path, arm):
    path = write_mcap(tmp_path / "a.mcap", run(), compression=CompressionType.NONE)
    path.write_bytes(path.read_bytes()[:12_000])  # of one chunk of about 30 kB
    (frame,) = make_tracks(read(path, arm), arm).frames
    assert 50 < frame.height < 120


@pytest.mark.parametrize("index", [True, False])
def test_a_damaged_chunk_is_left_out_and_its_messages_are_counted(tmp_path, arm, index):
    path = write_mcap(
        tmp_path / "a.mcap",
        run(),
        chunk=2000,
        compression=CompressionType.LZ4,
        index_types=IndexType.ALL if index else IndexType.NONE,
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    log = read(path, arm)
    assert checks(log) == ["damaged"]
    tracks = make_tracks(log, arm)
    assert tracks.rows + tracks.dropped_rows == 240
    assert len(tracks.frames) == 2  # nothing is interpolated over what is lost
    assert {item["check"] for item in tracks.reasons} == {"damaged", "gap"}


@pytest.mark.parametrize("claim", [1 << 62, 1 << 31])
def test_a_chunk_that_claims_to_unpack_to_gigabytes_is_not_unpacked(tmp_path, arm, claim):
    path = write_mcap(tmp_path / "a.mcap", run(), chunk=2000)
    content = bytearray(path.read_bytes())
    at = content.index(b"\x06", 8 + 9 + content[9])  # the first chunk
    content[at + 9 + 16 : at + 9 + 24] = claim.to_bytes(8, "little")
    path.write_bytes(content)
    log = read(path, arm)
    assert "declares an unpacked size of" in str(log.reasons[0]["found"])


def test_a_bomb_in_a_chunk_is_not_unpacked_beyond_what_it_claims(tmp_path, arm):
    path = write_mcap(tmp_path / "a.mcap", run(), chunk=10_000)
    content = path.read_bytes()
    bomb = zstandard.compress(bytes(1 << 28), 19)
    body = bytes(16) + (1000).to_bytes(8, "little") + bytes(4) + (4).to_bytes(4, "little") + b"zstd"
    body += len(bomb).to_bytes(8, "little") + bomb
    chunk = b"\x06" + len(body).to_bytes(8, "little") + body
    start = 8 + 9 + int.from_bytes(content[9:17], "little")
    path.write_bytes(content[:start] + chunk + content[start:])
    log = read(path, arm)
    assert log.reasons[0]["check"] == "damaged"
    assert len(log.signals["angle"].time) == 200


def replaced(folder, old, new):
    """Write a log without compression, with some of its bytes replaced."""
    path = write_mcap(folder / "a.mcap", run(), compression=CompressionType.NONE, enable_crcs=False)
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


def test_messages_that_are_no_json_are_left_out_and_named(tmp_path, arm):
    log = read(replaced(tmp_path, b'{"data": 3.0}', b'{"data": 3.0]'), arm)
    (reason,) = log.reasons
    assert [reason[key] for key in ("check", "channel")] == ["message", "torque"]
    assert reason["where"] == "message 4"
    assert log.dropped_rows == 1


def test_a_topic_in_another_encoding_is_refused_by_name(tmp_path, arm):
    path = replaced(tmp_path, b"\x04\0\0\0json", b"\x04\0\0\0cbor")
    reasons = refusals(read, path, arm)
    assert {item["where"] for item in reasons} == {"topic /joints", "topic /command"}
    assert reasons[0]["found"] == "holds 'cbor' messages"


def moved(frame: str, x: float) -> dict:
    """Return a message of /tf with one transform."""
    return {"transforms": [{"child_frame_id": frame, "transform": {"translation": {"x": x}}}]}


def test_frames_that_take_turns_on_one_topic_are_topics_of_their_own(tmp_path):
    """A localizer moves `odom` at 10 Hz between the `base` of the wheels at 50 Hz."""
    messages = [("/tf", START + k * 20_000_000, moved("base", k / 50)) for k in range(100)]
    messages += [("/tf", START + k * 100_000_000 + 1, moved("/odom", 7.0)) for k in range(20)]
    path = write_mcap(tmp_path / "a.mcap", sorted(messages, key=lambda item: item[1]))
    source = "/tf/base.transform.translation.x"
    text = TASK.replace("/joints.position[1]", source)
    text = text.replace("task: arm", "task: rover").replace("/joints.velocity[1]", source)
    text = text.replace("/command.data", "/tf/odom.transform.translation.x")
    (tmp_path / "rover.yaml").write_text(text)
    signals = read(path, load_task(tmp_path / "rover.yaml")).signals
    np.testing.assert_allclose(signals["angle"].values, np.arange(100) / 50)
    assert (len(signals["torque"].values), signals["torque"].values.null_count()) == (20, 0)


def test_every_frame_of_a_log_is_listed(tmp_path):
    frames = ("base", "base", "odom", "wheel")
    messages = [("/tf", START + at, moved(name, 1.0)) for at, name in enumerate(frames)]
    path = write_mcap(tmp_path / "a.mcap", messages)
    with pytest.raises(Header) as header:
        read(path, empty_task().model_copy(update={"channels": {}}))
    assert header.value.names == [
        f"/tf/{frame}.transform.translation.x" for frame in ("base", "odom", "wheel")
    ]


def test_topics_of_other_encodings_are_named(tmp_path):
    path = tmp_path / "a.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("foxglove.Log", "protobuf", b"")
        writer.add_message(writer.register_channel("/log", "protobuf", schema), 1, b"", 1)
        writer.finish()
    with pytest.raises(BadLog, match="/log holds 'protobuf' messages, which are not read"):
        survey(path)
