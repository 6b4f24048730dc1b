"""Metadata of recordings: from names, from side-cars, and kept when they are gone."""

import h5py
import numpy as np
import polars as pl
import pytest

from kinemill.errors import TaskError
from kinemill.ingest import stage as ingest
from kinemill.ingest.membership import members
from kinemill.ingest.metadata import PROBLEM, metadata, read_attributes, read_sidecar


def test_the_groups_of_the_name_and_the_side_car_join_and_the_side_car_wins(make_task):
    task = make_task(ingest__meta__name=r"(?P<session>[^/]+)/(?P<robot>\w+)-\d+(?P<x>_\w+)?\.csv")
    values = metadata(task, "monday/r2-7.csv", {"robot": "r3", "operator": "kim"})
    assert values == {"session": "monday", "robot": "r3", "operator": "kim"}
    assert metadata(task, "elsewhere.csv", {}) == {}


@pytest.mark.parametrize("name", ["run.meta.yaml", "run.csv.meta.yml", "run.meta.json"])
def test_a_side_car_is_found_beside_its_log_and_read_as_text(task, logs, write, name):
    log = write("run.csv", "time\n")
    write(name, '{"session": 7, "robot": "a b", "gain": {"left": 1.5}, "note": null}')
    assert read_sidecar(task, log) == {
        "session": "7", "robot": "a b", "gain.left": "1.5", "note": ""
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("session: [1, 2]", "nested too deeply"),
        ("- a\n- b\n", "no keys with values"),
        ("session: a\nsession: b\n", "session"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ("x" * 70_000, "70000 bytes"),
        ("a: {b", "run.meta.yaml"),
    ],
)
def test_a_broken_side_car_costs_no_recording_and_says_what_is_wrong(
    task, home, logs, write, swing, content, said
):
    write("run.csv", swing)
    write("run.meta.yaml", content)
    report = ingest.run(task, home, logs)
    assert [(file["file"], file["outcome"]) for file in report.files] == [("run.csv", "episodes")]
    (member,) = members(home, "pendulum").values()
    assert said in member.meta[PROBLEM]


def test_a_side_car_is_no_log_and_is_kept_when_both_files_are_gone(task, home, logs, write, swing):
    log, sidecar = write("run.csv", swing), write("run.meta.json", '{"session": "a"}')
    first = ingest.run(task, home, logs)
    assert [file["file"] for file in first.files] == ["run.csv"]
    log.unlink()
    sidecar.unlink()
    again = ingest.run(task, home, logs)
    (member,) = members(home, "pendulum").values()
    assert (member.name, member.meta) == ("run.csv", {"session": "a"})
    assert again.artifact.ref == first.artifact.ref


def test_a_side_car_may_come_later_and_what_it_said_once_stays(task, home, logs, write, swing):
    write("run.csv", swing)
    ref = ingest.run(task, home, logs).artifact.ref
    for content, expected in (
        ("a: [1]\na: 2", None), ("session: mon", "mon"), ("session: tue", "mon")
    ):  # fmt: skip
        write("run.meta.yaml", content)
        assert (
            ingest.run(task, home, logs).artifact.ref == ref
        )  # metadata is no part of a recording
        (member,) = members(home, "pendulum").values()
        assert member.meta.get("session") == expected


def test_another_pattern_reads_no_recording_again(make_task, home, logs, write, swing):
    write("mon/run.csv", swing)
    first = ingest.run(make_task(), home, logs)
    again = ingest.run(make_task(ingest__meta__name="(?P<session>[^/]+)/.*"), home, logs)
    assert again.artifact.ref == first.artifact.ref
    assert again.files[0]["outcome"] == "known"


@pytest.mark.parametrize(
    ("pattern", "said"), [("(?P<a", "not a regular expression"), ("run", "no named group")]
)
def test_a_pattern_that_names_nothing_is_refused(make_task, pattern, said):
    with pytest.raises(TaskError, match=said):
        make_task(ingest__meta__name=pattern)


def with_attributes(path):
    """Write a log whose file says which robot it is of, in the way of its format."""
    columns = {
        "time": np.arange(60) / 100, "position": np.arange(60) / 10,
        "velocity": np.full(60, 10.0), "torque": np.arange(60.0),
    }  # fmt: skip
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[name] = values
            file.attrs.update(
                {"robot": "r2", "gain": np.array([1.5]), "seed": 7, "map": np.ones(9)}
            )
    elif path.suffix == ".parquet":
        said = {"robot": "r2", "kinemill": '{"gain": 1.5, "deep": {"a": 1}}'}
        pl.DataFrame(columns).write_parquet(path, metadata=said)
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.h5", {"robot": "r2", "gain": "1.5", "seed": "7"}),
        ("a.parquet", {"robot": "r2", "kinemill.gain": "1.5"}),
    ],
)
def test_attributes_of_the_file_are_metadata_and_names_and_side_cars_go_before_them(
    make_task, home, logs, write, name, said
):
    task = make_task(ingest__meta__name=r"(?P<gain>\w)\.")
    with_attributes(logs / name)
    write("a.meta.yaml", "robot: r3\n")
    ingest.run(task, home, logs)
    (member,) = members(home, "pendulum").values()
    assert metadata(task, "?", {k: v for k, v in member.meta.items() if k != "robot"}) == said
    values = metadata(task, member.name, member.meta)
    assert (values["robot"], values["gain"]) == ("r3", "a")


def test_a_side_car_may_come_later_than_the_attributes(task, home, logs, write):
    with_attributes(logs / "a.h5")
    ref = ingest.run(task, home, logs).artifact.ref
    write("a.meta.yaml", "session: mon\n")
    assert ingest.run(task, home, logs).artifact.ref == ref
    (member,) = members(home, "pendulum").values()
    assert (member.meta["session"], member.meta["@robot"]) == ("mon", "r2")


def test_metadata_records_of_mcap_and_information_of_a_flight_are_attributes(
    request, task, tmp_path, shared_data
):
    from mcap.writer import Writer

    with (tmp_path / "a.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        writer.add_metadata("robot", {"serial": "42", "firmware": "1.2"})
        writer.finish()
    expected = {"@robot.serial": "42", "@robot.firmware": "1.2"}
    assert read_attributes(task, tmp_path / "a.mcap") == expected
    content = (tmp_path / "a.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(content[:-20])
    assert read_attributes(task, tmp_path / "cut.mcap") == expected
    from pyulog import ULog

    log = shared_data / "px4_ulog" / "sample_log_small.ulg"
    attributes, theirs = read_attributes(task, log), ULog(str(log)).msg_info_dict
    assert attributes["@sys_name"] == "PX4"
    assert {key[1:]: value for key, value in attributes.items()} == {
        key: str(value) for key, value in theirs.items() if len(str(value)) <= 1000
    }


def test_attributes_of_a_damaged_file_cost_nothing_and_say_what_is_wrong(task, logs):
    path = with_attributes(logs / "a.h5")
    path.write_bytes(path.read_bytes()[:600])
    ((name, problem),) = read_attributes(task, path).items()
    assert (name, problem.startswith("OSError")) == ("@attributes_problem", True)
