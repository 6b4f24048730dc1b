"""Many recordings: what one more opens and writes, and that parts come to the same as the whole."""

import os
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from kinemill import catalog
from kinemill.catalog import SetRules
from kinemill.errors import CorruptArtifact
from kinemill.ingest import snapshot
from kinemill.ingest.snapshot import Snapshot
from kinemill.store import digest, open_ref, shards
from kinemill.store.home import Home
from kinemill.validate import load_checks, measures, report_samples
from kinemill.validate import stage as validate
from kinemill.validate.previous_snapshot import open_tree
from kinemill.validate.report_samples import RecordingSample
from kinemill.validate.stage import list_episodes, load_table
from kinemill.validate.summary import read_quarantine
from tests.validate.conftest import as_frame

_alerts: list[str] = []


@cache
def _listen():
    """Note every file that Python opens; an audit hook cannot be taken back, so there is one."""

    def hear(event, args):
        if event == "open" and isinstance(args[0], str | Path):
            _alerts.append(str(args[0]))

    sys.addaudithook(hear)


def opened_while(home, work):
    """Return how many files below the store are opened while work is done, by stage."""
    _listen()
    _alerts.clear()
    work()
    inside = [Path(path) for path in _alerts if path.startswith(str(home.store))]
    return Counter(path.relative_to(home.store).parts[0] for path in inside)


@pytest.fixture
def unsynced(monkeypatch):
    """Leave out fsync: nothing here is to outlive the machine's fall."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def some(swing):
    """Forty recordings: one that is flipped, one in degrees, one with NaN, one that is broken."""
    logs = {f"{k}.csv": swing(150, phase=0.15 * k) for k in range(39)}
    for log in logs.values():
        log |= {name: 0.05 * log[name] for name in ("angle", "velocity")}
    logs["1.csv"]["velocity"] *= -1
    logs["2.csv"] |= {name: np.degrees(logs["2.csv"][name]) for name in ("angle", "velocity")}
    logs["3.csv"]["angle"][100:103] = np.nan
    return {"broken.csv": []} | {name: [as_frame(values)] for name, values in logs.items()}


def one_more(home, task, record, frames, count):
    """Return what one more recording opens among so many, and what is published with it.

    Most of them are recordings that nobody could read, which differ by content hash alone.
    """
    entries = [*Snapshot(home, record(task, frames))]
    (like,) = (one for one in entries if not one.tracks)
    many = [replace(like, hash=digest(n), name=f"{n}.csv") for n in range(count - len(entries))]
    head = catalog.amend(home, task.name, {one.hash: one for one in many}, SetRules())
    validate.run(task, home, snapshot.publish(home, task.name, head).ref)
    new = replace(like, hash=digest("new"), name="new.csv")
    result = []

    def add():
        grown = catalog.amend(home, task.name, {new.hash: new}, SetRules())
        result.append(validate.run(task, home, snapshot.publish(home, task.name, grown).ref))

    opened = opened_while(home, add)
    assert result[0].summary["recordings"] == count + 1
    return opened, result[0]


def test_one_more_recording_opens_hardly_more_files_among_many(
    home, pendulum, record, some, unsynced, monkeypatch
):
    monkeypatch.setattr(shards, "LARGEST", 4)
    frames = {name: some[name] for name in ("0.csv", "4.csv", "broken.csv")}
    task = pendulum(max_quarantined_share=1.0)
    short, _ = one_more(home, task, record, frames, 60)
    many, published = one_more(home, task, record, frames, 1000)
    tree = open_tree(home, open_ref(home, published.ref))
    assert tree.cuts == 4
    assert len([*tree.shards()]) > 240
    # One group of episodes lies in between. It is opened, and written by three files that are read
    # back; of each of its 16 parts the manifest and the numbers are read.
    assert many.total() - short.total() <= 12 + 16 * 4
    assert many["episodes_shard"] <= short["episodes_shard"] + 4
    assert many["recordings"] == short["recordings"]


def test_parts_come_to_the_same_as_the_whole(
    pendulum, record, some, unsynced, monkeypatch, tmp_path
):
    task = pendulum(max_quarantined_share=1.0)
    result = {}
    for largest, cuts in ((512, 0), (4, 2), (1, 3)):
        monkeypatch.setattr(shards, "LARGEST", largest)
        home = Home(tmp_path / f"{cuts} cuts")
        published = validate.run(task, home, record(task, some, home))
        folder = open_ref(home, published.ref)
        assert open_tree(home, folder).cuts == cuts
        checks = {check.name: check for check in load_checks(home, published.ref)}
        episodes = [*list_episodes(home, published.ref)]
        table = load_table(home, published.ref)
        result[cuts] = published.summary, checks, episodes, read_quarantine(folder), table
    summary, checks, *_ = result[0]
    assert (summary["accepted"], summary["quarantined"]) == (39, 2)
    assert checks["physics_velocity"].values["recordings"] == 1
    assert checks["unit_outliers"].values["failing"][0]["recording"] == "2.csv"
    for cuts in (2, 3):
        assert result[cuts][:-1] == result[0][:-1]
        assert result[cuts][-1].equals(result[0][-1])


def test_adding_one_by_one_comes_to_the_same_as_all_at_once(
    home, pendulum, record, some, unsynced, monkeypatch
):
    monkeypatch.setattr(shards, "LARGEST", 2)
    task = pendulum(max_quarantined_share=1.0)
    names = sorted(some)
    for count in (1, 3, 30, 38, 40):
        ref = record(task, {name: some[name] for name in names[:count]})
        published = validate.run(task, home, ref)
    (home.store / "index" / task.name / "episodes.json").unlink()
    again = validate.run(task, home, ref)
    assert (again.cached, again.ref) == (True, published.ref)
    fewer = validate.run(task, home, record(task, {name: some[name] for name in names[:5]}))
    assert fewer.summary["recordings"] == 5


@pytest.mark.parametrize("stage", ["episodes_shard", "episodes_group", "episodes"])
def test_what_is_damaged_is_made_anew(home, pendulum, record, some, unsynced, monkeypatch, stage):
    monkeypatch.setattr(shards, "LARGEST", 2)
    task = pendulum(max_quarantined_share=1.0)
    names = sorted(some)
    previous = validate.run(task, home, record(task, {name: some[name] for name in names[:39]}))
    for file in (home.store / stage / task.name).glob("*/*.json"):
        if file.name != "MANIFEST.json":
            file.write_bytes(file.read_bytes()[:-2] + b" \n")
    with pytest.raises(CorruptArtifact):
        list(list_episodes(home, previous.ref))
    published = validate.run(task, home, record(task, some))
    assert published.summary["recordings"] == 40
    assert len([*list_episodes(home, published.ref)]) == published.summary["accepted"]


def test_a_part_keeps_no_more_numbers_than_its_share_and_the_extremes_of_all():
    parts = [
        measures.gather([{"rate": {"lag": float(16 * n + k)}} for n in range(100)])
        for k in range(16)
    ]
    every = measures.merge_parts(measures.truncate(part) for part in parts)["rate"]
    assert len(every["lag"].values) == 512
    assert measures.spans(every)["lag"][::2] == [0.0, 1599.0]
    one = measures.NumberSummary(1.0, 5.0, [1.0, 5.0, 2.0])
    assert measures.spans({"lag": one}) == {"lag": [1.0, 2.0, 5.0]}


def test_a_part_shows_some_of_its_recordings_and_says_how_many_reasons_it_left_out():
    reasons = [{"check": "limits"}] * 11
    part = report_samples.gather(
        RecordingSample(f"{n:03d}", "", reasons if n % 2 else [], 0, 0, []) for n in range(300)
    )
    assert (len(part.faulty), len(part.sound)) == (100, 60)
    assert (len(part.faulty[0].reasons), part.faulty[0].omitted) == (8, 3)
    merged = report_samples.merge_parts(2 * [report_samples.truncate(part)])
    assert (len(merged.faulty), len(merged.sound)) == (32, 8)
