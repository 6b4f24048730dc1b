"""Partitions of recordings: keys, their number, and one partition read alone."""

import shutil
from types import SimpleNamespace

import pytest

from kinemill.errors import BadInput
from kinemill.ingest import partitions
from kinemill.ingest import stage as ingest
from kinemill.ingest.membership import members
from kinemill.ingest.partitions import (
    check_number,
    member_key,
    member_keys,
    new_keys,
    partition_key,
    recordings_by_partition,
)
from kinemill.ingest.snapshot import Snapshot
from kinemill.store.home import Home
from kinemill.task import load_task
from tests.conftest import load_task_in

TASK = """\
task: arm
dt: 0.01
channels:
  angle: {role: state, unit: rad, source: angle}
ingest: {min_file_age: 0, partition_by: BY, meta: {name: '(?P<robot>[a-z]+)/'}}
learn: {type: dynamics, model: {type: mlp}}
"""
LOG = "time,angle\n" + "".join(f"{row / 100},{{}}{row}\n" for row in range(30))


def make_task(folder, by="robot"):
    return load_task_in(folder, TASK.replace("BY", by))


def drop(home, name, first=1):
    path = home.logs("arm") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LOG.format(*[first] * 30))
    return path


@pytest.fixture
def arm(tmp_path):
    return make_task(tmp_path)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("arm 3", "arm 3"),
        ("Größe/2", "Größe/2"),
        ("a...b", "a%2E..b"),
        ("a,b[1]", "a%2Cb%5B1%5D"),
        ("line\nend\0", "line%0Aend%00"),
        (" a ", "%20a%20"),
        ("", "unknown"),
    ],
)
def test_a_key_holds_no_character_that_dagster_forbids(value, key):
    import dagster as dg

    assert partition_key(value) == key
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("keys", [key])
        assert instance.get_dynamic_partitions("keys") == [key]


def test_long_values_stay_different():
    first, second = partition_key("x" * 300 + "a"), partition_key("x" * 300 + "b")
    assert first != second
    assert len(first) == len(second) == 200


@pytest.mark.parametrize(
    ("name", "meta", "day"),
    [
        ("2026-03-01/run7.csv", {}, "2026-03-01"),
        ("run_20260301_101500.csv", {}, "2026-03-01"),
        ("run_20261301.csv", {}, "unknown"),
        ("run7.csv", {}, "unknown"),
        ("2026-03-01/run7.csv", {"day": "2026-04-02"}, "2026-04-02"),
        ("run7.csv", {"date": "2026-04-02T10:00:00Z"}, "2026-04-02"),
        ("2026-03-01/run7.csv", {"@date": "2026.05.03"}, "2026-05-03"),
        ("run_120260301.csv", {}, "unknown"),
    ],
)
def test_the_day_comes_from_metadata_or_the_name(tmp_path, name, meta, day):
    task = make_task(tmp_path, "day")
    assert member_key(task, SimpleNamespace(name=name, meta=meta)) == day


def test_a_side_car_overrides_the_name_and_both_override_the_log(arm):
    def key(name, meta):
        return member_key(arm, SimpleNamespace(name=name, meta=meta))

    assert key("left/run.csv", {"@robot": "own", "robot": "side"}) == "side"
    assert key("left/run.csv", {"@robot": "own"}) == "left"
    assert key("run.csv", {"@robot": "own"}) == "own"
    assert key("run.csv", {"robot": ""}) == "unknown"


@pytest.mark.usefixtures("remembered")
def test_a_log_has_the_same_key_before_and_after_it_is_ingested(arm, home):
    for name in ("left/a.csv", "right/b.csv", "c.csv", "d.csv"):
        drop(home, name, first=ord(name[-5]))
    (home.logs("arm") / "d.meta.yaml").write_text("robot: third\n")
    assert new_keys(arm, home) == ["left", "right", "third", "unknown"]
    ingest.run(arm, home)
    assert new_keys(arm, home) == []
    assert sorted(member_keys(arm, home).values()) == ["left", "right", "third", "unknown"]


@pytest.mark.usefixtures("remembered")
def test_one_partition_is_read_alone_and_the_rest_is_not_lost(arm, home):
    for name in ("left/a.csv", "right/b.csv", "c.csv"):
        drop(home, name, first=ord(name[-5]))
    report = ingest.run(arm, home, partition="right")
    assert [entry.name for entry in Snapshot(home, report.artifact.ref)] == ["right/b.csv"]
    assert [member.name for member in members(home, "arm").values()] == ["right/b.csv"]
    everything = ingest.run(arm, home)
    assert [entry["outcome"] for entry in everything.fresh] == ["episodes", "episodes"]
    listed = recordings_by_partition(arm, home, everything.artifact.ref)
    expected = [("left", 1), ("right", 1), ("unknown", 1)]
    assert [(one.key, one.recordings) for one in listed] == expected


def test_the_snapshot_is_the_same_whatever_the_order_of_partitions(arm, home, tmp_path):
    for name in ("left/a.csv", "right/b.csv", "c.csv"):
        drop(home, name, first=ord(name[-5]))
    plain = Home(tmp_path / "plain")
    shutil.copytree(home.logs("arm"), plain.logs("arm"))
    without = load_task(arm.path, {"ingest.partition_by": None})
    expected = ingest.run(without, plain).artifact.ref
    for key in ("unknown", "right", "left"):
        ingest.run(arm, home, partition=key)
    joined = ingest.publish_members(arm, home)
    assert joined.ref == expected
    assert ingest.run(arm, home).artifact.ref == expected


def test_a_partition_of_new_rules_reads_no_other_partition(arm, home, tmp_path):
    for name in ("left/a.csv", "right/b.csv"):
        drop(home, name, first=ord(name[-5]))
    ingest.run(arm, home)
    coarse = load_task(arm.path, {"dt": 0.02})
    folder = home.store / "recording" / "arm"
    previous = len(list(folder.iterdir()))
    ingest.run(coarse, home, partition="left")
    assert len(list(folder.iterdir())) == previous + 1
    ingest.publish_members(coarse, home)
    assert len(list(folder.iterdir())) == previous + 2


def test_a_side_car_of_another_partition_is_not_forgotten(arm, home):
    for name in ("left/a.csv", "b.csv"):
        drop(home, name, first=ord(name[-5]))
    ingest.run(arm, home)
    (home.logs("arm") / "b.meta.yaml").write_text("robot: right\n")
    ingest.run(arm, home, partition="left")
    assert sorted(member_keys(arm, home).values()) == ["left", "unknown"]
    ingest.run(arm, home)
    assert sorted(member_keys(arm, home).values()) == ["left", "right"]


@pytest.mark.usefixtures("remembered")
def test_a_log_that_grew_supersedes_its_beginning_in_a_partition_run(arm, home):
    path = drop(home, "left/a.csv")
    ingest.run(arm, home)
    drop(home, "right/b.csv", first=7)
    path.write_text(path.read_text() + "0.30,1\n0.31,2\n")
    ingest.run(arm, home, partition="right")
    report = ingest.run(arm, home, partition="left")
    (entry,) = Snapshot(home, report.artifact.ref)
    assert entry.rows == 32


def test_an_empty_partition_is_an_error(arm, home):
    drop(home, "left/a.csv")
    with pytest.raises(BadInput, match="no complete log of the partition 'nobody' of arm"):
        ingest.run(arm, home, partition="nobody")


def test_more_than_20000_partitions_are_refused_with_a_way_out(arm, home, monkeypatch):
    check_number(arm, range(20_000))
    with pytest.raises(BadInput, match="20001 partitions") as caught:
        check_number(arm, range(20_001))
    text = str(caught.value)
    for part in ("arm.yaml", "recordings of arm", "partition_by: robot", "at most 20000", "remove"):
        assert part in text
    monkeypatch.setattr(partitions, "MAX_KEYS", 1)
    for name in ("left/a.csv", "right/b.csv"):
        drop(home, name, first=ord(name[-5]))
    with pytest.raises(BadInput, match="into 2 partitions"):
        recordings_by_partition(arm, home, ingest.run(arm, home).artifact.ref)
