"""`kinemill data validate`: logs are read and checked, and stored ones by rules that changed."""

import pytest

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput


def test_validate_changed_limits_apply_to_stored_recordings_and_keep_datasets(
    swing, log, evaluated, kinemill, home
):
    log("a.csv")
    folder = log("b.csv", phase=1.0).parent
    task = swing()
    old = dataset_stage.run(task, home, evaluated(task, folder).ref).ref
    before = kinemill("data", "validate", "swing", str(folder), "--json")
    assert (before["accepted"], before["quarantined"], before["failed"]) == (2, 0, [])
    swing("[-20, 20]", "[-4, 20]")
    after = kinemill("data", "validate", "swing", str(folder), "--json")
    assert (after["accepted"] > 2, after["recordings"]) == (True, 2)
    assert len(load_dataset(home, old).values) == 1200
    swing("[-4, 20]", "[19, 20]")
    with pytest.raises(AssertionError, match="blocked by: accepted_not_empty"):
        kinemill("data", "validate", "swing", str(folder), "--json")


def test_validate_task_without_recordings_is_bad_input(swing, kinemill):
    with pytest.raises(BadInput, match="swing"):
        kinemill("data", "validate", "swing")
