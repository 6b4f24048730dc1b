"""Starting from an earlier model: its weights, its scale, what is frozen, what is refused."""

import shutil
from dataclasses import replace

import pytest
import torch

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store.home import Home
from kinemill.train import TrainingJob, load_model, start_in
from kinemill.train import stage as train
from tests.train.conftest import CPU, QUIET, assert_resumes, pendulum_task, prepared, publish


@pytest.fixture(scope="module")
def trained(tmp_path_factory, packed):
    """Return a home, its dataset and a model, trained once; nobody may change them."""
    home = Home(tmp_path_factory.mktemp("trained") / "home")
    ref = publish(home, packed)
    return home, ref, train.run(pendulum_task(steps=40), home, ref, ref, QUIET).ref.path


@pytest.fixture
def earlier(home, trained):
    original, ref, path = trained
    folder = shutil.copytree(original.root, home.root) / path
    return ref, start_in(folder), load_model(folder)


def other_folder(packed):
    """The same robot with other statistics: twice as fast."""
    return replace(packed, std=packed.std * 2, delta_std=packed.delta_std * 2)


def test_weights_and_scale_are_those_of_the_earlier_model(earlier, packed):
    _, start, original = earlier
    task, other = pendulum_task(start_from=start.address), other_folder(packed)
    module, objective = task.learn.prepare(task, other, other, CPU, start)
    for name, value in original.state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name
    fresh, _ = pendulum_task().learn.prepare(pendulum_task(), packed, packed, CPU)
    assert not torch.equal(fresh.network.head.weight, module.network.head.weight)
    # Errors count in the spreads of the earlier model, whose units the network speaks.
    _, same = task.learn.prepare(task, packed, packed, CPU, start)
    which = torch.arange(30).unsqueeze(0)
    assert objective.loss(which, 0).item() == same.loss(which, 0).item()


def test_every_member_of_an_ensemble_starts_there(earlier, packed):
    _, start, original = earlier
    task = pendulum_task(start_from=start.address, ensemble=3, loss="gaussian")
    module, _ = task.learn.prepare(task, packed, packed, CPU, start)
    for name, value in original.named_parameters():
        stacked = module.member.step.get_parameter(name)
        assert all(torch.equal(one, value) for one in stacked), name


def test_frozen_weights_stay_and_the_others_learn(earlier, home, packed):
    ref, start, original = earlier
    task = pendulum_task(start_from=start.address, freeze="network.layers.*", steps=20)
    artifact = train.run(task, home, ref, ref, QUIET, start)
    after = load_model(home.root / artifact.ref.path)
    assert torch.equal(after.network.layers[0].weight, original.network.layers[0].weight)
    assert not torch.equal(after.network.head.weight, original.network.head.weight)
    assert artifact.summary["started_from"] == {"address": start.address, "digest": start.digest}


def test_the_key_holds_what_the_model_is_and_not_how_it_is_called(earlier, home):
    ref, start, _ = earlier
    one = pendulum_task(start_from="models:/pendulum@champion")
    other = pendulum_task(start_from="models:/pendulum/3")
    folder = TrainingJob(one, home, ref, ref, start).folder
    renamed = replace(start, address="models:/pendulum/3")
    assert folder == TrainingJob(other, home, ref, ref, renamed).folder
    assert folder != TrainingJob(one, home, ref, ref, replace(start, digest="another")).folder
    assert folder != TrainingJob(pendulum_task(), home, ref, ref).folder
    assert TrainingJob(one, home, ref, ref, start).find_model() is None
    with pytest.raises(BadInput, match="was not resolved"):
        TrainingJob(one, home, ref, ref).find_model()


@pytest.mark.parametrize(
    ("learn", "message"),
    [
        ({"history": 5}, "history: 3 there, 5 here"),
        ({"model": {"type": "mlp", "hidden_sizes": [8]}}, "another architecture.*16.*8"),
        ({"model": {"type": "gru"}}, "another architecture"),
        ({"outputs": {"a": {"relation": "derivative", "of": "velocity"}}}, "outputs: "),
        ({"freeze": "network.lairs.*"}, "matches nothing"),
        ({"freeze": "*"}, "nothing to learn"),
    ],
)
def test_what_does_not_fit_is_said(earlier, packed, learn, message):
    task = pendulum_task(start_from=earlier[1].address, **learn)
    with pytest.raises(BadInput, match=message):
        task.learn.prepare(task, packed, packed, CPU, earlier[1])


def test_other_units_and_another_time_step_are_refused(earlier, packed):
    task = pendulum_task(start_from=earlier[1].address)
    degrees = task.channels["velocity"].model_copy(update={"unit": "deg/s"})
    other = task.model_copy(update={"channels": {**task.channels, "velocity": degrees}})
    with pytest.raises(BadInput, match="unit of velocity: rad/s there, deg/s here"):
        task.learn.prepare(other, packed, packed, CPU, earlier[1])
    slower = task.model_copy(update={"dt": 0.04})
    with pytest.raises(BadInput, match=r"dt: 0\.02 there, 0\.04 here"):
        task.learn.prepare(slower, packed, packed, CPU, earlier[1])


def test_a_folder_without_a_model_is_no_start(tmp_path):
    with pytest.raises(BadInput, match=r"has no weights\.safetensors"):
        start_in(tmp_path)


def test_starting_from_a_model_goes_on_bit_for_bit(earlier, packed, tmp_path):
    """The killed half's checkpoint counts, not the earlier weights again."""
    task = pendulum_task(start_from=earlier[1].address, steps=40)
    assert_resumes(lambda: prepared(task, packed, earlier[1]), tmp_path)


def test_a_model_that_saw_other_features_is_refused(earlier, packed, tmp_path):
    task = pendulum_task(start_from=earlier[1].address)
    shutil.copytree(earlier[1].folder, tmp_path / "old")
    path = tmp_path / "old" / "model.json"
    path.write_text(path.read_text().replace('"format": 3', '"format": 1'))
    for use in (
        lambda: load_model(path.parent),
        lambda: task.learn.prepare(task, packed, packed, CPU, start_in(path.parent)),
    ):
        with pytest.raises(CorruptArtifact, match="trained model with format 1"):
            use()
