"""Caches keyed by versions: what changes them, and what they keep."""

import sqlite3
import threading
from contextlib import closing

import pytest

from kinemill.store.versioned_cache import VersionedCache, database_version, file_version


class Source:
    """A value with a version, which counts how often it is read."""

    def __init__(self):
        self.version, self.value, self.reads = 1, "a", 0

    def read(self):
        self.reads += 1
        return self.value


def test_value_is_built_once_per_version():
    source, cache = Source(), VersionedCache(8)
    values = [cache.get("k", lambda: source.version, source.read) for _ in range(3)]
    source.version, source.value = 2, "b"
    values.append(cache.get("k", lambda: source.version, source.read))
    assert (values, source.reads) == (["a", "a", "a", "b"], 2)


def test_source_without_version_is_read_each_time():
    source, cache = Source(), VersionedCache(8)
    for _ in range(3):
        cache.get("k", lambda: None, source.read)
    assert source.reads == 3


def test_change_during_a_build_shows_in_the_next_read():
    source, cache = Source(), VersionedCache(8)

    def build():
        value = source.read()
        source.version, source.value = 2, "b"
        return value

    assert cache.get("k", lambda: source.version, build) == "a"
    assert cache.get("k", lambda: source.version, source.read) == "b"


def test_failed_build_is_not_kept():
    cache = VersionedCache(8)
    with pytest.raises(ZeroDivisionError):
        cache.get("k", lambda: 1, lambda: 1 // 0)
    assert cache.get("k", lambda: 1, lambda: "a") == "a"


def test_oldest_key_is_dropped():
    source, cache = Source(), VersionedCache(2)
    for key in ("a", "b", "c", "c", "b", "a"):
        cache.get(key, lambda: 1, source.read)
    assert source.reads == 4


def test_concurrent_readers_build_once():
    source, cache, start = Source(), VersionedCache(8), threading.Barrier(8)

    def read():
        start.wait()
        cache.get("k", lambda: 1, source.read)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.reads == 1


@pytest.fixture
def database(tmp_path):
    """A database in WAL mode, as Dagster's are."""
    path = tmp_path / "a?b.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
    return path


def test_each_commit_changes_the_version_of_a_database(database):
    versions = [database_version(database, "mlflow")]
    with closing(sqlite3.connect(database)) as connection:
        for number in range(20):  # faster than the clock of the file system
            with connection:
                connection.execute("INSERT INTO t VALUES (?)", (number,))
            versions.append(database_version(database, "mlflow"))
        assert len(set(versions)) == 21
        connection.execute("SELECT * FROM t").fetchall()
        assert database_version(database, "mlflow") == versions[-1]


def test_replaced_database_has_another_version(database, tmp_path):
    previous = database_version(database, "mlflow")
    restored = tmp_path / "restored.db"
    with closing(sqlite3.connect(restored)) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
    restored.rename(database)
    assert database_version(database, "mlflow") not in {previous, None}


def test_missing_or_damaged_database_has_no_version(tmp_path):
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"text" * 1000)
    assert database_version(damaged, "mlflow") is None
    assert database_version(tmp_path / "missing.db", "mlflow") is None


def test_file_version_changes_with_content_and_with_names_in_a_folder(tmp_path):
    folder = tmp_path / "a"
    versions = [file_version(folder)]
    folder.mkdir()
    versions.append(file_version(folder))
    (folder / "b").write_text("1")
    versions += [file_version(folder), file_version(folder / "b")]
    (folder / "b").write_text("12")
    versions.append(file_version(folder / "b"))
    assert len(set(versions)) == 5
    assert versions[0] is None
