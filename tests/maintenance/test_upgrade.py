"""Upgrades of our own documents: by one hop, each at once, as often as one likes."""

import pytest

from kinemill.errors import BadInput
from kinemill.maintenance import upgrade as upgrade_run
from kinemill.maintenance.upgrade import upgrade
from kinemill.store import publish_json, read_json
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.task.protocols import NullReporter


class NoDagster:
    def parts(self):
        return ()

    def upgrade(self):
        raise AssertionError


@pytest.fixture
def members(home, monkeypatch):
    """Memberships of formats 1, 1 and 2, of which 2 is the newest: it has a name in addition."""
    newest = Format("membership", 2, lambda old: {**old, "name": "unnamed"})
    monkeypatch.setattr(upgrade_run, "_CHANGING", ((newest, "members/*/*.json"),))
    folder = home.store / "members" / "cart"
    publish_json(folder / "a.json", {"hash": "a"})  # from before there were numbers
    publish_json(folder / "b.json", {"format": 1, "hash": "b"})
    publish_json(folder / "c.json", {"format": 2, "hash": "c", "name": "run.csv"})
    return home, folder


def bring_up(home):
    return upgrade(home, NoDagster(), NullReporter())


def test_documents_of_the_format_before_are_written_anew(members):
    home, folder = members
    result = bring_up(home)
    parts = {part["part"]: (part["before"], part["after"]) for part in result["parts"]}
    assert parts == {"home": ("not noted", "1"), "membership": ("1 (2), 2 (1)", "2")}
    assert [read_json(folder / f"{name}.json") for name in "abc"] == [
        {"format": 2, "hash": "a", "name": "unnamed"},
        {"format": 2, "hash": "b", "name": "unnamed"},
        {"format": 2, "hash": "c", "name": "run.csv"},
    ]
    assert bring_up(home)["status"] == "unchanged"


def test_an_upgrade_that_ended_early_is_ended_by_the_next(members, monkeypatch):
    home, folder = members

    def die(name):
        if name == "upgrade.document":
            raise KeyboardInterrupt

    monkeypatch.setattr(upgrade_run, "fault_point", die)
    with pytest.raises(KeyboardInterrupt):
        bring_up(home)
    assert [read_json(folder / f"{name}.json").get("format", 1) for name in "abc"] == [2, 1, 2]
    monkeypatch.setattr(upgrade_run, "fault_point", lambda _: None)
    bring_up(home)
    assert [read_json(folder / f"{name}.json")["format"] for name in "abc"] == [2, 2, 2]


def test_a_document_that_is_two_formats_old_or_newer_is_refused_before_anything_is_written(members):
    home, folder = members
    publish_json(folder / "d.json", {"format": 3, "hash": "d"})
    with pytest.raises(BadInput, match="cannot read"):
        bring_up(home)
    assert read_json(folder / "a.json") == {"hash": "a"}


def test_nobody_is_upgraded_under_a_server_that_runs(members):
    home, _ = members
    with lock(home, "up"), pytest.raises(BadInput, match="in use by"):
        bring_up(home)


def test_an_empty_home_is_left_empty(tmp_path):
    there = Home(tmp_path / "new")
    assert bring_up(there)["status"] == "unchanged"
    assert {path.name for path in there.root.iterdir()} <= {".locks"}
