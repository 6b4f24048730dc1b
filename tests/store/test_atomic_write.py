"""Files on the disk, then in their places."""

import os

import pytest

from kinemill.store import atomic_write
from kinemill.store.atomic_write import MAX_SEPARATE, Move, settle


@pytest.mark.parametrize("count", [1, MAX_SEPARATE, MAX_SEPARATE + 1])
def test_files_get_their_places_in_the_order_given(tmp_path, count):
    moves = []
    for number in range(count):
        (aside := tmp_path / f".aside-{number}").write_text(f"{number}")
        moves.append(Move(aside, tmp_path / "there" / f"{number % 5}"))
    assert settle(moves) == [True] * count
    last = {f"{number % 5}": f"{number}" for number in range(count)}
    assert {path.name: path.read_text() for path in (tmp_path / "there").iterdir()} == last


def test_every_file_is_on_the_disk_before_any_gets_its_place(tmp_path, monkeypatch):
    order, fsync, rename = [], os.fsync, atomic_write._rename
    monkeypatch.setattr(os, "fsync", lambda handle: (fsync(handle), order.append("sync")))
    monkeypatch.setattr(atomic_write, "_rename", lambda move: order.append("place") or rename(move))
    (tmp_path / "folder").mkdir()
    for name in "abc":
        (tmp_path / "folder" / name).write_text(name)
    settle([Move(tmp_path / "folder", tmp_path / "there" / "folder")])
    assert order == ["sync"] * 4 + ["place"] + ["sync"]
