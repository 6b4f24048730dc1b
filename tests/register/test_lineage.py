"""Lineage in both directions: the inputs of a model, and the models of a recording."""

import pytest

from kinemill.errors import BadInput
from kinemill.ingest.membership import Member, stage_entry
from kinemill.register.lineage import recordings_of, uses_of
from kinemill.store.atomic_write import settle


def test_a_model_names_the_recordings_it_learned_from_and_was_judged_on(chain):
    chain.register(0.1)
    result = recordings_of(chain.home, "cart", "@champion")
    assert (result["model"]["version"], result["model"]["aliases"]) == (1, ["champion"])
    assert result["dataset"]["version"] == 1
    assert [
        (line["name"], line["train"], line["test"], line["rows"]) for line in result["recordings"]
    ] == [("test", 0, 1, 40), ("train", 1, 0, 40)]
    page = recordings_of(chain.home, "cart", offset=1, limit=1)
    assert (page["total"], [line["name"] for line in page["recordings"]]) == (2, ["train"])


def test_a_recording_names_the_datasets_and_models_it_went_into(chain):
    chain.register(0.1)
    chain.register(0.05, gain=0.6)
    (result,) = uses_of(chain.home, "cart", "train")["recordings"]
    (use,) = result["datasets"]
    assert (use["version"], use["episodes"]) == (1, {"train": 1})
    assert [model["version"] for model in use["models"]] == [2, 1]
    assert "champion" in use["models"][0]["aliases"]


def test_a_recording_that_went_into_nothing_is_known_all_the_same(chain):
    hash_ = "ab12" * 16
    settle(stage_entry(chain.home, "cart", Member(hash_, "late.csv", 3, ".csv")))
    for named in (hash_, hash_[:8], "late.csv"):
        (result,) = uses_of(chain.home, "cart", named)["recordings"]
        assert result == {"hash": hash_, "name": "late.csv", "datasets": []}


def test_what_was_never_there_is_said_so(chain):
    with pytest.raises(BadInput, match="is not a recording of task 'cart'"):
        uses_of(chain.home, "cart", "nope.csv")
    with pytest.raises(BadInput, match="has no version yet"):
        recordings_of(chain.home, "cart")


def test_a_damaged_dataset_does_not_hide_what_it_was_made_of(chain):
    chain.register(0.1)
    dataset = chain.produce().dataset
    next((chain.home.root / dataset.path).glob("values-*.npy")).unlink()
    assert recordings_of(chain.home, "cart")["total"] == 2
