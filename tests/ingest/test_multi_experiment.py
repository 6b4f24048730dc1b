"""Experiments side by side in one file: each a part with its own columns, rows and split."""

import numpy as np
import polars as pl
import pytest

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import TaskError
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.rows import read_rows
from kinemill.task import load_task
from kinemill.validate import stage as validate

TWO = {"first": {"velocity": "v1"}, "second": {"angle": "p2", "velocity": "v2", "time": "t2"}}
HEADER = "time,position,v1,torque,t2,p2,v2\n"


def rows(count: int) -> str:
    lines = (f"{k / 100},{k},{10 * k},7,{5 + k / 100},{-k},{-10 * k}\n" for k in range(count))
    return HEADER + "".join(lines)


def frames(home, report) -> dict[str, pl.DataFrame]:
    (recording,) = load_recordings(home, report.artifact.ref)
    return {
        track.part: read_rows(recording.folder / track.file) for track in recording.summary.tracks
    }


def test_each_part_has_its_own_columns_and_clock(make_task, write, home, logs):
    write("a.csv", rows(30))
    report = ingest.run(make_task(ingest__parts=TWO), home, logs)
    parts = frames(home, report)
    assert (list(parts), report.files[0]["episodes"]) == (["first", "second"], 2)
    np.testing.assert_allclose(parts["first"]["velocity"], 10.0 * np.arange(30))
    np.testing.assert_allclose(parts["second"]["velocity"], -10.0 * np.arange(30))
    assert parts["second"]["time_s"][0] == 0.0  # its stamps begin at 5 s
    assert parts["second"]["torque"].to_list() == [7.0] * 30  # as the channel's own source says


def test_a_part_that_lacks_a_column_does_not_spoil_the_other(make_task, write, home, logs):
    write("a.csv", rows(30).replace(",v2\n", ",v3\n"))
    (entry,) = ingest.run(make_task(ingest__parts=TWO), home, logs).files
    assert (entry["outcome"], entry["episodes"]) == ("episodes", 1)
    (reason,) = entry["reasons"]
    assert (reason["where"], reason["channel"]) == ("second, header", "velocity")
    assert "`ingest.parts.second.velocity`" in reason["fix"]


def test_what_is_wrong_with_the_file_is_said_once(make_task, write, home, logs):
    write("a.csv", "")
    (entry,) = ingest.run(make_task(ingest__parts=TWO), home, logs).files
    assert (entry["outcome"], len(entry["reasons"])) == ("quarantined", 1)
    assert entry["reasons"][0]["where"] == "file"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a": {"velocty": "v1"}}, "unknown channel 'velocty'; did you mean 'velocity'?"),
        ({"a/b": {}}, "'a/b' is not a valid part name"),
        ({"a": {"velocity": {"name": "v1", "unit": "kg"}}}, "kg"),
    ],
)
def test_parts_that_make_no_sense_are_refused_with_their_place(make_task, parts, message):
    with pytest.raises(TaskError, match=r"ingest\.parts") as error:
        make_task(ingest__parts=parts)
    assert message in str(error.value)


def test_the_two_tank_experiments_are_split_as_their_authors_ask(request, home, shared_data):
    task = load_task(request.config.rootpath / "tests" / "tasks" / "cascaded_tanks.yaml")
    report = ingest.run(task, home, shared_data / "cascaded_tanks")
    assert report.artifact.summary == {
        "recordings": 1, "quarantined": 0, "tracks": 2, "rows": 2048, "dropped_rows": 0,
    }  # fmt: skip
    raw = pl.read_csv(shared_data / "cascaded_tanks" / "dataBenchmark.csv").head(1024)
    assert raw["Ts"].null_count() == 1023  # it stands in the first row alone
    tracks = frames(home, report)
    for part, suffix in (("train", "Est"), ("test", "Val")):
        assert tracks[part]["level"].to_list() == raw[f"y{suffix}"].to_list()
        assert tracks[part]["pump"].to_list() == raw[f"u{suffix}"].to_list()
        assert tracks[part]["time_s"][-1] == 4.0 * 1023
        assert (tracks[part]["level"] > 9.99).sum() > 1  # the sensor saturates at 10 V
    packed = dataset_stage.run(task, home, validate.run(task, home, report.artifact.ref).ref)
    assert packed.summary["rows"] == {"train": 850, "validation": 174, "test": 1024, "unused": 0}
    (test,) = (dataset := load_dataset(home, packed.ref)).of("test")
    np.testing.assert_allclose(dataset.rows(test)[:, 0], raw["yVal"], rtol=1e-6)
