"""The catalog's database: made by writers, damaged, of another format, and shared."""

import shutil
import sqlite3
from multiprocessing import get_context

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError

from kinemill import catalog
from kinemill.catalog import SetRules, database, tables, transaction
from kinemill.errors import BadInput, CorruptArtifact, KinemillError, Unreachable
from kinemill.store.disk_space import DiskFull
from kinemill.store.home import Home
from tests.catalog.test_recordings import changed, entry, names
from tests.deploy.conftest import database as shared  # noqa: F401  (fixture)
from tests.deploy.conftest import postgres  # noqa: F401  (fixture)


def test_a_reader_finds_no_catalog_empty_and_makes_none(home):
    with transaction(home) as connection:
        assert connection.execute(select(tables.recordings)).all() == []
    assert not home.catalog_db.exists()


def test_a_reader_finds_an_empty_shared_database_empty(home, shared):  # noqa: F811
    with transaction(home) as connection:
        assert connection.execute(select(tables.recordings)).all() == []


def test_what_fails_is_not_committed(home):
    changed(home, entry(1))

    def fail():
        with transaction(home, write=True) as connection:
            connection.execute(
                insert(tables.sets).values(task="arm", kind="recordings", set="x", change=9)
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert catalog.change_of(home, "arm", "x") is None


def test_a_reader_sees_the_state_of_its_beginning_while_another_writes(home):
    changed(home, entry(1))
    with transaction(home) as connection:
        query = select(tables.recordings.c.name)
        assert connection.execute(query).scalars().all() == ["1.csv"]
        changed(home, entry(2))
        assert connection.execute(query).scalars().all() == ["1.csv"]


def test_transactions_of_a_block_share_connections_which_are_closed_at_its_end(home):
    changed(home, entry(1))
    wal, connections = home.catalog_db.with_name("catalog.db-wal"), set()

    def use(number):
        changed(home, entry(number))
        with transaction(home) as connection:
            connections.add(id(connection.connection.driver_connection))

    with catalog.open_connections(home):
        with catalog.open_connections(home):
            use(2)
        use(3)
        assert wal.is_file()
    assert len(connections) == 1
    assert not wal.exists()
    assert names(home, catalog.read_head(home, "arm")) == ["1.csv", "2.csv", "3.csv"]


def test_connections_to_a_server_that_does_not_respond_are_refused(home, monkeypatch):
    monkeypatch.setenv("KINEMILL_DATABASE", "postgresql://mill:secret@127.0.0.1:9/mill")
    for opened in (catalog.open_connections(home), transaction(home)):
        with pytest.raises(Unreachable), opened:
            pass


@pytest.mark.parametrize("content", [b"no database at all, " * 400, None])
def test_a_damaged_catalog_is_said_and_how_to_rebuild_it(home, content):
    changed(home, *(entry(number) for number in range(500)))
    with sqlite3.connect(home.catalog_db) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = home.catalog_db.read_bytes()
    home.catalog_db.write_bytes(content or whole[:4096] + bytes(len(whole) - 4096))
    with pytest.raises(CorruptArtifact, match=r"catalog\.db: is damaged.*rebuild-catalog"):
        names(home, changed(home, entry(500)))


def test_a_catalog_of_a_newer_kinemill_is_refused(home, monkeypatch):
    newer = tables.FORMAT + 1
    monkeypatch.setattr(tables, "FORMAT", newer)
    changed(home, entry(1))
    monkeypatch.undo()
    for write in (False, True):
        with (
            pytest.raises(BadInput, match=rf"format {newer}.*expected format \d.*update kinemill"),
            transaction(home, write=write),
        ):
            pass


def test_a_catalog_that_may_not_be_opened_is_an_error_with_its_place(home):
    home.root.mkdir(exist_ok=True)
    home.catalog_db.mkdir()
    with pytest.raises(KinemillError, match=r"catalog\.db: cannot be used"):
        changed(home, entry(1))


def test_io_error_on_a_full_file_system_is_a_full_disk(home, monkeypatch):
    changed(home, entry(1))
    full = shutil.disk_usage(home.root)._replace(free=4096)
    monkeypatch.setattr("kinemill.store.disk_space.shutil.disk_usage", lambda _: full)
    error = OperationalError("INSERT", {}, sqlite3.OperationalError("disk I/O error"))
    with (
        pytest.raises(DiskFull, match=r"catalog\.db: no space left on .*, 4,096 of"),
        transaction(home, write=True),
    ):
        raise error


def test_what_is_discarded_is_kept_beside(home):
    assert catalog.discard(home) is None
    head = changed(home, entry(1))
    aside = catalog.discard(home)
    assert aside.name.startswith("catalog.db.before-")
    assert catalog.read_head(home, "arm") is None
    aside.rename(home.catalog_db)
    assert catalog.read_head(home, "arm") == head


def _append(root, first):
    for number in range(first, first + 20):
        changed(Home(root), entry(number), task=f"arm_{first}")


@pytest.mark.ci
def test_processes_that_make_one_catalog_at_once_agree(home):
    context = get_context("spawn")
    writers = [context.Process(target=_append, args=(home.root, first)) for first in (0, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [len(names(home, catalog.read_head(home, t), t)) for t in ("arm_0", "arm_100")] == [
        20
    ] * 2


def test_a_shared_database_holds_the_catalog_of_all_machines(home, tmp_path, request):
    request.getfixturevalue("shared")
    head = changed(home, entry(1), entry(2))
    other_home = Home(tmp_path / "elsewhere")
    assert names(other_home, catalog.read_head(other_home, "arm")) == ["1.csv", "2.csv"]
    later = changed(other_home, entry(3), removed=[1])
    assert names(home, later) == ["2.csv", "3.csv"]
    assert names(home, head) == ["1.csv", "2.csv"]
    assert not home.catalog_db.exists()
    assert "schema kinemill" in database.where(home)
    assert "@" not in database.where(home)
    catalog.forget(home, "arm", entry(2).hash)
    assert names(home, catalog.read_head(home, "arm")) == ["3.csv"]
    assert catalog.discard(home) is None
    assert catalog.read_head(home, "arm") is None
    assert catalog.amend(home, "arm", {}, SetRules()).totals.recordings == 0


def test_a_journal_mode_that_cannot_be_set_is_waited_for_only_while_the_database_is_held():
    class ReadOnly:
        def execute(self, _):
            error = sqlite3.OperationalError("attempt to write a readonly database")
            error.sqlite_errorcode = sqlite3.SQLITE_READONLY
            raise error

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database._use_wal(ReadOnly())
