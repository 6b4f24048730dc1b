"""A log that went on after it was read takes the place of what it was."""

import hashlib

import pytest

from kinemill.ingest.decisions import current_decisions, decide
from kinemill.ingest.membership import Member, stage_entry
from kinemill.ingest.snapshot_update import SnapshotUpdate
from kinemill.store.atomic_write import settle
from tests.dataset.conftest import make_task

BEGIN = b"time,q\n0.00,0.1\n0.01,0.2\n0.0"


def update(home) -> SnapshotUpdate:
    return SnapshotUpdate(make_task(), home, current_decisions(home, "arm"), set())


@pytest.fixture
def log(home, tmp_path):
    """A log that was read as `BEGIN` and is then written anew."""
    member = Member(hashlib.sha256(BEGIN).hexdigest(), "run.csv", len(BEGIN), ".csv")
    settle(stage_entry(home, "arm", member))

    def write(content):
        path = tmp_path / "run.csv"
        path.write_bytes(content)
        return path, hashlib.sha256(content).hexdigest()

    return member.hash, write


@pytest.mark.parametrize(
    "content",
    [
        BEGIN,  # the same
        BEGIN[:-1],  # cut
        BEGIN[:-1] + b"9,0.3\n",  # another row in the place of the half one
        b"time,q\n5.00,7.1\n5.01,7.2\n5.02,7.3\n5.03,7.4\n",  # another run of the same name
    ],
)
def test_other_contents_of_the_same_name_supersede_nothing(home, log, content):
    previous, write = log
    assert update(home).find_grown(*write(content), previous) is None


def test_unknown_contents_and_persons_decisions_are_left_alone(home, log):
    previous, write = log
    grown = write(BEGIN + b"2,0.3\n")
    assert update(home).find_grown(*grown, None) is None
    assert update(home).find_grown(*grown, "0" * 64) is None
    decide(home, "arm", previous, "run.csv", "release", "good run")
    assert update(home).find_grown(*grown, previous) is None
