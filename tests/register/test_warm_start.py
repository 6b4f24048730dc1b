"""The model of `learn.start_from`: versions by alias and number, folders, errors."""

import shutil
from dataclasses import replace

import pytest

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import show, stage, start_of, tags
from kinemill.store import get_or_build
from kinemill.task import load_task
from kinemill.train.summary import StartModel, TrainedModel
from tests.register.conftest import Claims, trained


def start_task(task, address):
    return load_task(task.path, {"learn.start_from": address})


def test_an_alias_and_a_number_stand_for_the_weights_of_that_version(chain, task):
    chain.register(0.1)
    chain.register(0.05, gain=0.6)
    champion = start_of(start_task(task, "models:/cart@champion"), chain.home)
    second = start_of(start_task(task, "models:/cart/2"), chain.home)
    first = start_of(start_task(task, "models:/cart/1"), chain.home)
    assert champion == second
    assert champion.address == "models:/cart/2"
    assert first.digest != second.digest
    result = show("cart", chain.home, ":1").tags
    assert first.digest == result[tags.MODEL]
    assert first.folder == str(chain.home.root / result[tags.MODEL_FOLDER])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("models:/cart/7", "is not a version"),
        ("models:/cart@best", "is not a version"),
        ("models:/kart@champion", "no model is called 'kart'; did you mean 'cart'"),
        ("models:/cart", "is not an address"),
        ("elsewhere", "no such folder: .*elsewhere"),
    ],
)
def test_what_is_not_there_is_said(chain, task, address, message):
    chain.register(0.1)
    with pytest.raises(BadInput, match=message):
        start_of(start_task(task, address), chain.home)


def test_before_anything_is_registered_no_version_is_there(task, home):
    with pytest.raises(BadInput, match="nothing is registered yet"):
        start_of(start_task(task, "models:/cart@champion"), home)


def test_weights_that_are_gone_are_told_of(chain, task):
    chain.register(0.1)
    start = start_of(start_task(task, "models:/cart/1"), chain.home)
    shutil.rmtree(start.folder)
    with pytest.raises(CorruptArtifact, match="its weights are missing"):
        start_of(start_task(task, "models:/cart/1"), chain.home)


def test_a_version_says_what_its_training_started_from(chain):
    """The summary of the stage `model` and the tag of the version have the start model."""
    summary = trained(started_from=StartModel("models:/cart/3", "d"))
    made = get_or_build(chain.home, "model", "cart", {"from": "another"}, lambda _: summary)
    produced = replace(chain.produce(0.1), model=made.ref)
    stage.run(chain.task, chain.home, produced)
    assert show("cart", chain.home).lineage["started_from"] == "models:/cart/3"
    chain.register(0.05, gain=0.6)
    assert show("cart", chain.home, ":2").lineage["started_from"] is None


def test_a_reference_as_champion_stands_for_the_network_trained_beside_it(chain, task):
    """A network cannot start from a closed-form fit, so the best network is stored for it."""
    produced = chain.produce(0.1)
    network = get_or_build(chain.home, "model", "cart", {"trained": 1}, lambda _: trained()).ref

    beside = TrainedModel(network.path, network.digest)
    fit = trained(reference="linear", trained=beside)
    fitted = get_or_build(chain.home, "model", "cart", {"fit": 1}, lambda _: fit).ref
    produced = replace(produced, model=fitted)
    stage.run(task, chain.home, produced, evidence=Claims(0.1))
    start = start_of(start_task(task, "models:/cart/1"), chain.home)
    assert start.digest == network.digest
    assert start.folder == str(chain.home.root / network.path)
    assert start.note == (
        "models:/cart/1 is the reference 'linear'; training starts from the model that was "
        "trained in the same run"
    )
    assert show("cart", chain.home).tags[tags.REFERENCE] == "linear"
