"""ULog: a real flight against pyulog, and what a cut or damaged log comes to."""

import random
import sys

import numpy as np
import pytest
from pyulog import ULog

from kinemill.ingest import stage as ingest
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers.ulog import read
from kinemill.ingest.tracks import make_tracks
from kinemill.task import load_task
from tests.conftest import load_task_in
from tests.ingest.conftest import refusals
from tests.ingest.messages import ulog_bytes, ulog_record, ulog_samples

TASK = """
task: joint
dt: 0.01
channels:
  angle: {role: state, kind: angle, unit: rad, source: "joint.position.value[1]"}
  ok:    {role: state, unit: "1", source: joint.ok, resample: hold}
  drive: {role: action, unit: "1", source: command.value, resample: {method: hold, max_gap: 0.2}}
ingest: {min_file_age: 0.0}
learn: {type: dynamics, model: {type: mlp}}
"""
SYNC = b"\x2f\x73\x13\x20\x25\x0c\xbb\x12"


@pytest.fixture
def joint(tmp_path):
    return load_task_in(tmp_path, TASK)


@pytest.fixture
def flight(request, shared_data):
    task = load_task(request.config.rootpath / "tests" / "tasks" / "vtol_flight.yaml")
    return task, shared_data / "px4_ulog" / "sample_log_small.ulg"


def written(tmp_path, content: bytes):
    path = tmp_path / "log.ulg"
    path.write_bytes(content)
    return path


def checks(log) -> list[str]:
    return [item["check"] for item in log.reasons]


def test_every_value_of_a_flight_is_what_pyulog_reads(flight):
    from pyulog import ULog

    task, path = flight
    log, theirs = read(path, task), ULog(str(path))
    for channel, signal in log.signals.items():
        topic, _, field = log.sources[channel].name.partition(".")
        name, _, instance = topic.rstrip("]").partition("[")
        data = theirs.get_dataset(name, int(instance or 0)).data
        is_current = data["timestamp"] >= theirs.start_timestamp
        assert signal.time.to_list() == data["timestamp"][is_current].tolist()
        assert signal.values.to_list() == data[field][is_current].astype(float).tolist()


def test_a_flight_is_one_track_behind_the_gap_that_its_drop_out_left(flight, home):
    task, path = flight
    (entry,) = ingest.run(task, home, path).files
    assert (entry["outcome"], entry["episodes"], entry["rows"]) == ("episodes", 1, 4738)
    items = {item["check"]: item for item in entry["reasons"]}
    assert items["dropout"]["found"] == "the logger lost 0.03 s"
    gaps = {item["channel"]: item["found"] for item in entry["reasons"] if item["check"] == "gap"}
    assert gaps["attitude_w"] == "0.161 s without a timestamp"
    assert items["stale_stamp"]["where"] == "topic actuator_outputs"
    assert items["cut_file"]["where"] == "end of file"  # nothing that is written at a landing


def test_a_flight_cut_anywhere_is_said_to_be(flight, tmp_path):
    task, path = flight
    whole, rng, n_reads = path.read_bytes(), random.Random(7), 0
    for at in sorted(rng.randrange(90_000, len(whole)) for _ in range(12)):
        log = read(written(tmp_path, whole[:at]), task)
        cut = next(item for item in log.reasons if item["check"] == "cut_file")
        n_reads += cut["found"] == f"the file ends at byte {at} inside a record"
    assert n_reads >= 11  # a cut between two records shows in the missing end alone


def test_topics_of_other_rates_come_to_one_grid(joint, tmp_path):
    log = read(written(tmp_path, ulog_bytes(ulog_samples())), joint)
    assert (log.ticks, log.reasons, log.dropped_rows) == (1e6, [], 0)
    tracks = make_tracks(log, joint)
    (frame,) = tracks.frames
    assert (frame.height, tracks.rows, tracks.dropped_rows) == (196, 40 + 195, 5)
    np.testing.assert_allclose(
        frame["angle"], np.sin(0.003 + 0.01 * np.arange(196)), atol=1.3e-5
    )  # h^2 / 8
    assert frame["drive"].to_list() == [float(k // 5) for k in range(196)]
    assert frame["ok"].unique().to_list() == [1.0]


def test_a_drop_out_splits_where_samples_were_lost_however_short_the_gap(joint, tmp_path):
    dropout = ulog_record("O", (15).to_bytes(2, "little"))
    log = read(written(tmp_path, ulog_bytes(ulog_samples(), extra={120: dropout})), joint)
    assert checks(log) == ["dropout"]
    tracks = make_tracks(log, joint)
    # before sample 120 the last command came at 0.953 s; the next one at 1.003 s
    assert [frame.height for frame in tracks.frames] == [96, 96]
    assert float(tracks.frames[1]["time_s"][0]) == pytest.approx(1.003)


def test_a_stamp_from_before_the_log_is_left_out_and_named(joint, tmp_path):
    stale = [(1, 400_000, 9.0), *ulog_samples()]
    log = read(written(tmp_path, ulog_bytes(stale, start=999_000)), joint)
    assert (checks(log), log.dropped_rows) == (["stale_stamp"], 1)
    assert log.signals["drive"].time[0] == 1_003_000


def test_a_clock_that_starts_again_splits_all_topics(joint, tmp_path):
    twice = [*ulog_samples(), *ulog_samples(start=1_020_000)]
    tracks = make_tracks(read(written(tmp_path, ulog_bytes(twice)), joint), joint)
    assert [frame.height for frame in tracks.frames] == [196, 196]
    assert {item["check"] for item in tracks.reasons} == {"time_order"}


def test_reading_goes_on_behind_damage_at_the_next_synchronization(joint, tmp_path):
    broken = b"\0\0\0" + bytes(50) + ulog_record("S", SYNC)
    log = read(written(tmp_path, ulog_bytes(ulog_samples(), extra={60: broken})), joint)
    assert checks(log) == ["damaged"]
    assert len(log.signals["angle"].time) == 200


def test_record_smaller_than_its_type_is_reported_as_damage(joint, tmp_path):
    short = ulog_record("D", (0).to_bytes(2, "little") + (1_105_000).to_bytes(8, "little"))
    log = read(written(tmp_path, ulog_bytes(ulog_samples(), extra={12: short})), joint)
    assert checks(log) == ["damaged"]
    assert len(log.signals["angle"].time) == 200


def test_a_type_that_contains_itself_is_refused(joint, tmp_path):
    endless = ulog_bytes(ulog_samples()).replace(b"pair:double[2] value;", b"pair:pair[2] value;;;")
    with pytest.raises(Unreadable, match="defines the type 'pair' inside itself"):
        read(written(tmp_path, endless), joint)


def test_a_field_that_is_not_there_names_the_nearest(joint, tmp_path):
    path = written(tmp_path, ulog_bytes(ulog_samples()).replace(b"joint", b"Joint"))
    reasons = refusals(read, path, joint)
    assert {item["channel"] for item in reasons} == {"angle", "ok"}
    assert "did you mean 'Joint.position.value[1]'?" in str(reasons[0]["fix"])


def test_padding_which_the_last_record_lacks_is_no_field(joint, tmp_path):
    ending = [sample for sample in ulog_samples() if sample[0] == 0]  # a joint is the last record
    path = written(tmp_path, ulog_bytes(ending))
    source = joint.channels["ok"].source[0].model_copy(update={"name": "joint._padding0[6]"})
    channel = joint.channels["ok"].model_copy(update={"source": [source]})
    task = joint.model_copy(update={"channels": {**joint.channels, "ok": channel}})
    with pytest.raises(Unreadable, match=r"no column 'joint\._padding0"):
        read(path, task)


def test_reading_of_several_files_leaves_stdout_to_other_threads(joint, tmp_path, monkeypatch):
    """Redirected by two threads at a time, stdout stayed redirected."""
    path = tmp_path / "a.ulg"
    path.write_bytes(ulog_bytes(ulog_samples()))
    streams = []
    load = ULog._load_file

    def load_file(log, *arguments):
        streams.append(sys.stdout)
        load(log, *arguments)

    monkeypatch.setattr(ULog, "_load_file", load_file)
    stdout = sys.stdout
    read(path, joint)
    assert streams == [stdout, stdout]  # the header, then the whole file
