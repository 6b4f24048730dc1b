"""Membership entries, which another machine may have written."""

import json

import pytest

from kinemill.errors import CorruptArtifact
from kinemill.ingest import membership
from kinemill.ingest.file_stat import FileStat
from kinemill.ingest.membership import (
    find_member,
    name_new_members,
    new_member,
    raw_path,
    stage_entry,
)

HASH = "ab" * 32


@pytest.mark.parametrize(
    "change",
    [
        {"suffix": "/../../../../x"},
        {"suffix": ".csv/../x"},
        {"suffix": ".CSV"},
        {"hash": "../../x"},
        {"hash": "cd" * 32},
    ],
)
def test_entry_that_names_a_file_elsewhere_is_refused(home, change):
    member = new_member(HASH, "a.csv", 5)
    assert raw_path(home, member) == home.store / "raw" / "ab" / f"{HASH}.csv"
    membership._folder(home, "arm").mkdir(parents=True)
    (move,) = stage_entry(home, "arm", member)
    move.aside.rename(move.target)
    assert find_member(home, "arm", HASH) == member
    move.target.write_text(json.dumps(json.loads(move.target.read_text()) | change))
    with pytest.raises(CorruptArtifact, match=f"expected {HASH} and the suffix of a file"):
        find_member(home, "arm", HASH)


def test_name_of_equal_files_is_that_of_the_oldest():
    stats = [FileStat("logs", name, 5, time, time, 1) for name, time in (("dup", 9), ("run", 3))]
    member, path = name_new_members([(stat, HASH) for stat in stats])[HASH]
    assert (member.name, path.name) == ("run", "run")
