"""Files that were read, in SQLite and in a shared database."""

import pytest

from kinemill.catalog.files import FolderFiles
from tests.catalog.test_evaluations import place, postgres, shared  # noqa: F401  (fixtures)

HASH = bytes(range(32))


def entry(number, size=10):
    return size, number.to_bytes(32), HASH[:-1] + bytes([number])


@pytest.fixture
def files(place):  # noqa: F811
    return FolderFiles(place, "a" * 16)


def test_a_folder_that_was_never_read_is_empty(files):
    assert not files.any()
    assert [*files] == [*files.directories()] == []
    assert files.find([b"a.csv"]) == {}


def test_directories_are_sorted_by_their_bytes(files):
    names = [b"a/x.csv", b"a-b/x.csv", b"top.csv", b"a/b/x.csv", b"\xff\xfe.csv", b"\xff/x.csv"]
    files.change([], {name: entry(number) for number, name in enumerate(names)})
    assert [(directory, [*stats]) for directory, stats in files.directories()] == [
        (b"", [b"top.csv", b"\xff\xfe.csv"]),
        (b"a-b/", [b"x.csv"]),
        (b"a/", [b"x.csv"]),
        (b"a/b/", [b"x.csv"]),
        (b"\xff/", [b"x.csv"]),
    ]
    assert files.find([b"a/x.csv", b"b/x.csv"]) == {b"a/x.csv": entry(0)[1:]}


def test_a_change_replaces_and_removes_rows_of_its_folder_alone(files, place):  # noqa: F811
    other = FolderFiles(place, "b" * 16)
    for each in (files, other):
        each.change([], {b"a.csv": entry(1), b"b.csv": entry(2)})
    files.change([b"b.csv", b"missing.csv"], {b"a.csv": entry(3)})
    assert [*files] == [(b"a.csv", *entry(3)[1:])]
    assert len([*other]) == 2


def test_files_are_found_by_size_content_and_beginning(files):
    files.change([], {b"d/a.csv": entry(1), b"d/a.csv.meta": entry(2), b"d/ab.csv": entry(3, 11)})
    assert [name for name, _, _ in files.of_size(10)] == [b"d/a.csv", b"d/a.csv.meta"]
    assert [name for name, _, _ in files.of_size(10, entry(2)[2])] == [b"d/a.csv.meta"]
    assert [name for name, _, _ in files.with_hashes([entry(3)[2]])] == [b"d/ab.csv"]
    assert [name for name, _, _ in files.beginning_with([b"d/a.csv"])] == [
        b"d/a.csv",
        b"d/a.csv.meta",
    ]
