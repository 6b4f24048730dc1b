"""Room on the disk: told in time, and told plainly when there is none."""

import errno
import shutil
import sqlite3
from collections import namedtuple
from pathlib import Path

import pytest

from kinemill.errors import KinemillError
from kinemill.store import disk_space, get_or_build

Usage = namedtuple("Usage", "total used free")
ROOT = Path(__file__).resolve().parents[2]
GB = 10**9


@pytest.mark.parametrize(
    ("total", "free", "required", "is_short"),
    [
        (100, 6, 0, False),  # 5 % are 5 GB
        (100, 4, 0, True),
        (10, 1.9, 0, True),  # never less than 2 GB
        (10, 2.1, 0, False),
        (2000, 21, 0, False),  # never more than 20 GB
        (2000, 19, 0, True),
        (2000, 300, 400, True),  # what is likely to be needed
    ],
)
def test_a_disk_is_short_below_5_percent_2_gb_or_what_is_needed(
    monkeypatch, tmp_path, total, free, required, is_short
):
    result = Usage(total * GB, (total - free) * GB, free * GB)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: result)
    message = disk_space.shortage(tmp_path / "not" / "there", required * GB)
    assert (message is not None) == is_short
    if message:
        assert f"{free:.1f} GB free" in message
        assert "kinemill admin gc" in message


def nothing(_):
    return Usage(GB, GB, 0)


def test_a_run_that_begins_on_a_short_disk_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(disk_space.shutil, "disk_usage", nothing)
    said = []
    disk_space.warn(tmp_path, said.append)
    assert len(said) == 1
    assert said[0].startswith("warning: ")


def test_an_outcome_for_which_there_is_no_room_names_path_free_bytes_and_what_to_do(home):
    def build(folder):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "rows.bin"))

    with pytest.raises(disk_space.DiskFull) as error:
        get_or_build(home, "model", "cart", {}, build)
    assert "rows.bin: no space left on the file system" in str(error.value)
    assert f"{shutil.disk_usage(home.root).free // 10**9}" in str(error.value).replace(",", "")
    assert "kinemill admin gc" in str(error.value)
    assert isinstance(error.value, KinemillError)
    assert error.value.errno == errno.ENOSPC
    assert list((home.store / ".staging").iterdir()) == []


def test_what_libraries_say_of_a_full_disk_is_understood(tmp_path):
    polars = RuntimeError("failed to write: No space left on device (os error 28)")
    sqlite = sqlite3.OperationalError("database or disk is full")
    wrapped = ValueError("step failed")
    wrapped.__cause__ = OSError(errno.EDQUOT, "Disk quota exceeded", "/home/x")
    for error in (polars, sqlite, wrapped):
        assert isinstance(disk_space.full_disk(error, tmp_path), disk_space.DiskFull)
    assert disk_space.full_disk(ValueError("no rows"), tmp_path) is None
    assert disk_space.full_disk(OSError(errno.EACCES, "Permission denied"), tmp_path) is None


def test_where_an_error_names_no_file_the_fullest_file_system_is_named(monkeypatch, tmp_path):
    full, roomy = tmp_path / "full", tmp_path / "roomy"
    full.mkdir()
    monkeypatch.setattr(disk_space.tempfile, "gettempdir", lambda: str(full))
    monkeypatch.setattr(
        disk_space.shutil, "disk_usage", lambda path: Usage(GB, GB, 0 if path == full else GB)
    )
    result = disk_space.full_disk(RuntimeError("No space left on device (os error 28)"), roomy)
    assert str(result).startswith(f"{full}: no space left on the file system ")
