"""`kinemill data reprocess`: what rules changed, and only what they touch done again."""

import pytest

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput


@pytest.fixture
def two(swing, log, evaluated):
    log("a.csv")
    path = log("b.csv", phase=1.0)
    task = swing()
    return task, path.parent, evaluated(task, path.parent)


def test_validate_of_a_folder_accepts_its_episodes(swing, log, kinemill):
    path = log("a.csv")
    swing()
    result = kinemill("data", "validate", "swing", str(path.parent), "--json")
    assert (result["accepted"], result["failed"], result["datasets"]) == (1, [], 0)


def test_nothing_changed_is_nothing_redone(two, kinemill):
    result = kinemill("data", "reprocess", "swing", "--json")
    assert result["changed"] == []
    assert result["recordings"] == result["episodes"] == {"cached": 2, "processed": 0}
    assert (result["accepted"], result["quarantined"], result["failed"]) == (2, 0, [])


def test_a_changed_check_judges_again_and_reads_nothing(two, swing, kinemill, home):
    task, _, episodes = two
    old = dataset_stage.run(task, home, episodes.ref).ref
    swing("[-20, 20]", "[-4, 20]")
    result = kinemill("data", "reprocess", "swing", "--json")
    assert result["changed"] == [
        {
            "stage": "validate",
            "rule": "channels.velocity.limits",
            "old": [-20.0, 20.0],
            "new": [-4.0, 20.0],
        }
    ]
    assert result["recordings"] == {"cached": 2, "processed": 0}
    assert result["episodes"] == {"cached": 0, "processed": 2}
    assert result["accepted"] > 2
    assert result["datasets"] == 1
    assert len(load_dataset(home, old).values) == 1200


def test_a_changed_time_step_reads_again_and_going_back_knows_all(two, swing, kinemill):
    swing("dt: 0.01", "dt: 0.02")
    result = kinemill("data", "reprocess", "swing", "--json")
    assert {(item["stage"], item["rule"]) for item in result["changed"]} >= {("ingest", "dt")}
    assert result["recordings"] == {"cached": 0, "processed": 2}
    swing("dt: 0.02", "dt: 0.01")
    result = kinemill("data", "reprocess", "swing", "--json")
    assert result["recordings"] == result["episodes"] == {"cached": 2, "processed": 0}


def test_a_blocking_check_that_fails_is_exit_code_1(two, swing, kinemill):
    swing("[-20, 20]", "[19, 20]")
    with pytest.raises(AssertionError, match="blocked by: accepted_not_empty"):
        kinemill("data", "reprocess", "swing", "--json")


def test_new_files_in_the_drop_folder_are_left_to_ingest(two, log, kinemill):
    log("c.csv", phase=2.0)
    assert kinemill("data", "reprocess", "swing", "--json")["recordings"]["cached"] == 2


def test_a_task_without_recordings_is_bad_input(swing, kinemill):
    with pytest.raises(BadInput, match="kinemill data ingest swing"):
        kinemill("data", "reprocess", "swing")
