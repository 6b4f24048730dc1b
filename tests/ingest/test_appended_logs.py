"""A log that went on after it was read takes the place of what it was."""

import hashlib

import pytest

from kinemill.ingest.appended_logs import supersede
from kinemill.ingest.decisions import current_decisions, decide
from kinemill.ingest.membership import Member, stage_entry
from kinemill.store.atomic_write import settle
from tests.dataset.conftest import make_task

BEGIN = b"time,q\n0.00,0.1\n0.01,0.2\n0.0"


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


def test_a_log_that_grew_supersedes_what_it_was_until_somebody_withdraws(home, log):
    previous, write = log
    grown = write(BEGIN + b"2,0.3\n")
    made = supersede(make_task(), home, *grown, previous, {})
    assert made.bars
    assert made.because == f"continues in {grown[1][:16]}, which begins with its {len(BEGIN)} bytes"
    assert "superseded by" in made.reason("arm")["found"]
    assert (
        supersede(make_task(), home, *grown, previous, current_decisions(home, "arm")) is None
    )  # only once
    decide(home, "arm", previous, "run.csv", "withdraw", "")
    assert previous not in current_decisions(home, "arm")


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
    assert supersede(make_task(), home, *write(content), previous, {}) is None
    assert current_decisions(home, "arm") == {}


def test_unknown_contents_and_persons_decisions_are_left_alone(home, log):
    previous, write = log
    grown = write(BEGIN + b"2,0.3\n")
    assert supersede(make_task(), home, *grown, None, {}) is None
    assert supersede(make_task(), home, *grown, "0" * 64, {}) is None
    decide(home, "arm", previous, "run.csv", "release", "good run")
    assert supersede(make_task(), home, *grown, previous, current_decisions(home, "arm")) is None
