"""`kinemill data forget`: a recording goes, what used it is named, and it stays forgotten."""

import pytest

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.ingest.decisions import DECISIONS, decide
from kinemill.ingest.membership import members
from kinemill.register import tags
from kinemill.tracking import open_tracking
from tests.cli.conftest import bytes_under


@pytest.fixture
def three(swing, log, evaluated):
    """Three good logs, judged."""
    for number, name in enumerate("abc"):
        path = log(f"{name}.csv", phase=number)
    task = swing()
    return task, path.parent, evaluated(task, path.parent)


def hash_of(home, name):
    history = members(home, "swing").values()
    return next(member.hash for member in history if member.name == name)


def test_nothing_of_a_forgotten_recording_is_left(three, kinemill, home):
    result = hash_of(home, "c.csv")
    retained = next((home.store / "raw").rglob("*.csv")).read_bytes()
    assert len(bytes_under(home.store / "raw")) == 3
    made = kinemill("data", "forget", "swing", "c.csv", "--yes", "--because", "private", "--json")
    assert (made["recording"], made["decision"], made["because"]) == (result, "forget", "private")
    assert made["removed"]["artifacts"] == 2
    assert made["removed"]["bytes"] > len(retained)
    assert made["datasets"] == []
    remaining = [name for name in bytes_under(home.store) if result in name]
    assert remaining == []
    assert len(bytes_under(home.store / "raw")) == 2


def test_a_forgotten_file_is_not_taken_again_until_asked_back(three, kinemill, home, evaluated):
    task, folder, previous = three
    kinemill("data", "forget", "swing", "c.csv", "--yes")
    report = ingest.run(task, home, folder)
    assert report.artifact.summary["recordings"] == 2
    entry = next(file for file in report.files if file["file"] == "c.csv")
    assert (entry["outcome"], entry["reasons"][0]["check"]) == ("known", "forgotten")
    copy = folder / "copy.csv"
    copy.write_bytes((folder / "c.csv").read_bytes())
    assert ingest.run(task, home, folder).artifact.summary["recordings"] == 2
    copy.unlink()
    kinemill("data", "forget", "swing", "c.csv", "--undo")
    again = evaluated(task, folder)
    assert again.ref == previous.ref


def test_datasets_and_models_that_used_it_are_named_and_stay_readable(
    three, kinemill, home, empty_database
):
    task, _, episodes = three
    dataset = dataset_stage.run(task, home, episodes.ref)
    home.mlflow_db.write_bytes(empty_database.read_bytes())
    client = open_tracking(home).client
    client.create_registered_model("swing")
    stamped = {tags.DATASET: dataset.ref.digest}
    client.create_model_version("swing", home.root.as_uri(), tags=stamped)
    client.set_registered_model_alias("swing", "champion", "1")
    made = kinemill("data", "forget", "swing", "b.csv", "--yes", "--json")
    (used,) = made["datasets"]
    assert (used["digest"], used["episodes"]) == (dataset.ref.digest, {"test": 1})
    (model,) = used["models"]
    assert (model["version"], model["aliases"]) == (1, ["champion"])
    rows = sum(item.stop - item.start for item in load_dataset(home, dataset.ref).episodes)
    assert rows == 1800


def test_raw_bytes_that_another_task_needs_are_kept(three, kinemill, home):
    entry = home.store / "members" / "other" / f"{hash_of(home, 'c.csv')}.json"
    entry.parent.mkdir()
    entry.write_text("{}")
    made = kinemill("data", "forget", "swing", "c.csv", "--yes", "--json")
    assert made["removed"]["raw"] is False
    assert len(bytes_under(home.store / "raw")) == 3


def test_without_a_yes_and_nobody_to_ask_nothing_is_removed(three, kinemill, home):
    previous = bytes_under(home.store)
    with pytest.raises(BadInput, match="--yes removes it"):
        kinemill("data", "forget", "swing", "c.csv")
    assert bytes_under(home.store) == previous


def test_what_a_crash_left_behind_is_removed_by_asking_again(three, kinemill, home):
    task, folder, _ = three
    result = hash_of(home, "c.csv")
    decide(home, "swing", result, "c.csv", "forget", "")  # and then the lights went out
    assert ingest.run(task, home, folder).artifact.summary["recordings"] == 2
    made = kinemill("data", "forget", "swing", "c.csv", "--yes", "--json")
    assert made["removed"]["artifacts"] == 2
    assert len(bytes_under(home.store / "raw")) == 2
    assert len(DECISIONS.read(home, "swing")) == 1


def test_asking_back_what_was_never_forgotten_is_bad_input(three, kinemill):
    with pytest.raises(BadInput, match="forgotten are: none"):
        kinemill("data", "forget", "swing", "c.csv", "--undo")
