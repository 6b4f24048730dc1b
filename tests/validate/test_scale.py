"""Many recordings: what one more opens and writes, and that parts come to the same as the whole."""

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
from kinemill.store import digest, open_ref
from kinemill.store.home import Home
from kinemill.validate import episodes as episodes_module
from kinemill.validate import results, stage
from kinemill.validate import stage as validate
from kinemill.validate.evaluation import Details
from kinemill.validate.published import open_results
from kinemill.validate.stage import list_episodes, load_checks, load_episodes
from kinemill.validate.summary import read_quarantine
from tests.deploy.conftest import database as shared  # noqa: F401  (fixture)
from tests.deploy.conftest import postgres  # noqa: F401  (fixture)
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
    (like,) = (entry for entry in entries if not entry.tracks)
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


def test_one_more_recording_opens_no_more_files_among_many(home, pendulum, record, some):
    frames = {name: some[name] for name in ("0.csv", "4.csv", "broken.csv")}
    task = pendulum(max_quarantined_share=1.0)
    short, _ = one_more(home, task, record, frames, 60)
    many, _ = one_more(home, task, record, frames, 1000)
    assert many.total() <= short.total()


def all_of(home, ref):
    """What is published of some episodes, but for the number of the change."""
    results, path = open_results(home, ref), home.catalog_db
    rows = [(row, Details.parse(text, path)) for row, text in results.first()]
    folder = open_ref(home, ref)
    return rows, load_checks(home, ref), [*list_episodes(home, ref)], read_quarantine(folder)


@pytest.mark.ci
def test_few_recordings_at_a_time_come_to_the_same_as_all_at_once(
    pendulum, record, some, monkeypatch, tmp_path
):
    task = pendulum(max_quarantined_share=1.0)
    made = {}
    for batch, sample in ((4096, 512), (3, 512), (3, 20)):
        monkeypatch.setattr(stage, "BATCH", batch)
        monkeypatch.setattr(results, "SAMPLE", sample)
        home = Home(tmp_path / f"{batch} {sample}")
        published = validate.run(task, home, record(task, some, home))
        made[batch, sample] = published.ref, all_of(home, published.ref)
    _, (_, checks, episodes, _) = made[4096, 512]
    assert made[3, 512] == made[4096, 512]
    named = {check.name: check for check in checks}
    assert len(episodes) == 39
    assert named["physics_velocity"].values["recordings"] == 1
    other = {check.name: check for check in made[3, 20][1][1]}
    for result in (named, other):  # the few recordings of the sample do not include the outlier
        (outlier,) = result["unit_outliers"].values["failing"]
        assert outlier["recording"] == "2.csv"
    assert made[3, 20][1][0] == made[4096, 512][1][0]


@pytest.mark.ci
def test_adding_one_by_one_comes_to_the_same_as_all_at_once(home, pendulum, record, some, tmp_path):
    task = pendulum(max_quarantined_share=1.0)
    names = sorted(some)
    for count in (1, 3, 30, 38, 40, 5, 40):
        ref = record(task, {name: some[name] for name in names[:count]})
        published = validate.run(task, home, ref)
        assert published.summary["recordings"] == count
    expected = all_of(home, published.ref)
    (home.store / "index" / task.name / "episodes.json").unlink()
    again = validate.run(task, home, ref)
    assert (again.cached, again.ref) == (True, published.ref)
    elsewhere = Home(tmp_path / "elsewhere")
    whole = validate.run(task, elsewhere, record(task, some, elsewhere))
    assert whole.ref == published.ref
    assert all_of(elsewhere, whole.ref) == expected


def test_an_earlier_set_can_still_be_read(home, pendulum, record, some):
    task = pendulum(max_quarantined_share=1.0)
    names = sorted(some)
    first = validate.run(task, home, record(task, {name: some[name] for name in names[:5]}))
    listed = [*list_episodes(home, first.ref)]
    validate.run(task, home, record(task, {name: some[name] for name in names[2:9]}))
    assert [*list_episodes(home, first.ref)] == listed
    assert len(listed) == first.summary["accepted"]


@pytest.mark.parametrize("stage", ["validated", "episodes"])
def test_what_is_damaged_is_made_anew(home, pendulum, record, some, stage):
    task = pendulum(max_quarantined_share=1.0)
    names = sorted(some)
    previous = validate.run(task, home, record(task, {name: some[name] for name in names[:39]}))
    for file in (home.store / stage / task.name).glob("*/*.json"):
        if file.name != "MANIFEST.json":
            file.write_bytes(file.read_bytes()[:-2] + b" \n")
    with pytest.raises(CorruptArtifact):
        [episode.path for episode in load_episodes(home, previous.ref)]
    published = validate.run(task, home, record(task, some))
    assert published.summary["recordings"] == 40
    episodes = load_episodes(home, published.ref)
    assert len([episode.path for episode in episodes]) == published.summary["accepted"]


def test_a_lost_catalog_is_filled_by_the_next_validation(home, pendulum, record, some, monkeypatch):
    task = pendulum(max_quarantined_share=1.0)
    published = validate.run(task, home, record(task, some))
    expected = all_of(home, published.ref)
    catalog.discard(home)
    monkeypatch.setattr(
        episodes_module, "apply_checks_to_track", lambda *_: pytest.fail("evaluated again")
    )
    again = validate.run(task, home, record(task, some))
    assert again.ref == published.ref
    assert all_of(home, again.ref) == expected


@pytest.mark.ci
def test_a_validation_that_was_stopped_between_two_steps_goes_on(
    home, pendulum, record, some, monkeypatch, tmp_path
):
    task = pendulum(max_quarantined_share=1.0)
    monkeypatch.setattr(stage, "BATCH", 3)
    names = sorted(some)
    validate.run(task, home, record(task, {name: some[name] for name in names[:20]}))
    ref, real, calls = record(task, some), results.Results.enter, []

    def stopped(*arguments):
        real(*arguments)
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(results.Results, "enter", stopped)
        with pytest.raises(KeyboardInterrupt):
            validate.run(task, home, ref)
    published = validate.run(task, home, ref)
    elsewhere = Home(tmp_path / "elsewhere")
    assert validate.run(task, elsewhere, record(task, some, elsewhere)).ref == published.ref
    assert all_of(elsewhere, published.ref) == all_of(home, published.ref)


@pytest.mark.ci
def test_a_shared_database_gives_the_same_as_a_file(
    home, pendulum, record, some, tmp_path, request
):
    task, names = pendulum(max_quarantined_share=1.0), sorted(some)
    ref = validate.run(task, home, record(task, some)).ref
    expected = ref, all_of(home, ref)
    request.getfixturevalue("shared")
    elsewhere = Home(tmp_path / "elsewhere")
    for count in (5, 40):
        few = {name: some[name] for name in names[:count]}
        published = validate.run(task, elsewhere, record(task, few, elsewhere))
    assert (published.ref, all_of(elsewhere, published.ref)) == expected
    assert not elsewhere.catalog_db.exists()
