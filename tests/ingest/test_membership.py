"""Membership entries, which another machine may have written."""

import json

import pytest

from kinemill.errors import CorruptArtifact
from kinemill.ingest import membership
from kinemill.ingest.membership import (
    find_member,
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
