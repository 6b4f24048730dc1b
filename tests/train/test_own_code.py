"""A task with own code in every place, from logs to the verified model; the cache of its stages."""

import math
import shutil
from types import SimpleNamespace

import polars as pl
import pytest
import torch

import kinemill.api as km
from kinemill.errors import BadInput, Blocked
from kinemill.models.networks.own import user_networks
from kinemill.runtime import load
from kinemill.task.own_code import make_own
from kinemill.train.coordinate_network import CoordinateNetwork
from kinemill.train.own_code import OwnCoordinates
from tests.api.conftest import swing
from tests.conftest import ROOT
from tests.policies.imitation.cloning import demonstrations, policy_task

SHORT = {
    "learn.steps": 20,
    "learn.eval_every": 10,
    "verify.horizon": 10,
    "channels.angle.source": {"name": "angle", "unit": "deg"},
    "channels.velocity.source": "velocity",
    "channels.torque.source": "torque",
    "ingest.time": "time",
    "dataset": {"validation": {"tail": 0.1}, "test": 0.3},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of examples/own_code with logs of the rod of tests/api."""
    copy = tmp_path_factory.mktemp("own")
    shutil.copytree(ROOT / "examples" / "own_code", copy, dirs_exist_ok=True)
    (copy / "logs").mkdir()
    for seed in range(5):
        frame = swing(seed)
        time = pl.Series("time", [0.02 * k for k in range(len(frame))])
        frame.insert_column(0, time).write_csv(copy / "logs" / f"run{seed}.csv")
    return copy


@pytest.fixture
def train(folder, tmp_path_factory, monkeypatch):
    """Train the task of the folder, in one home for all tests."""
    monkeypatch.setenv("KINEMILL_HOME", str(folder / "home"))

    def run(**overrides):
        changes = SHORT | {key.replace("__", "."): value for key, value in overrides.items()}
        return km.train(
            folder / "rod.yaml", folder / "logs", overrides=changes, progress=False, track=False
        )

    return run


@pytest.mark.slow
def test_own_code_is_trained_exported_and_verified(train, folder):
    training = train()
    assert not training.cached
    assert training.task.learn.model.type == "my_net.py:Net"
    simulator = load(training.folder)
    assert simulator.states == ("angle", "velocity")
    verification = km.verify(training)
    assert verification.document.passed
    parity = {gate.name: gate for gate in verification.document.gates}
    assert parity["step parity"].passed
    assert parity["rollout parity"].passed
    assert train().cached


@pytest.mark.ci
def test_a_changed_file_trains_again_and_the_old_model_stays(train, folder):
    first_model, net = train(), folder / "my_net.py"
    text = net.read_text()
    net.write_text(text.replace("torch.tanh(", "torch.sin("))
    try:
        changed = train()
        assert not changed.cached
        assert changed.trained != first_model.trained
        assert changed.data == first_model.data  # the data do not depend on the network
    finally:
        net.write_text(text)
    assert train().trained == first_model.trained


def test_a_check_of_ones_own_puts_rows_into_quarantine(train):
    with pytest.raises(Blocked) as error:
        train(validate__checks__energy__most=-100)  # no row passes
    assert "physics_energy" in str(error.value) or "energy" in str(error.value)


def test_a_loss_of_another_shape_is_refused(train, folder):
    (folder / "my_mean.py").write_text("def mean(error):\n    return error.abs().mean()\n")
    with pytest.raises(BadInput, match=r"learn.loss: my_mean.py:mean: returns .*one term for each"):
        train(learn__loss="my_mean.py:mean")


def test_network_that_fails_in_training_is_named_with_its_line(train, folder):
    text = (folder / "my_net.py").read_text()
    failing = "return self.last(hidden) + 1 / (len(rows) <= 3)"  # the batch of the checks is 3
    (folder / "my_failing.py").write_text(text.replace("return self.last(hidden)", failing))
    with pytest.raises(BadInput, match=r"my_failing.py:\d+: ZeroDivisionError: .*correct the file"):
        train(learn__model={"type": "my_failing.py:Net"})


def test_a_network_that_cannot_be_exported_is_not_trained(train, folder):
    (folder / "my_svd.py").write_text(
        (folder / "my_net.py")
        .read_text()
        .replace(
            "return self.last(hidden)",
            "return self.last(hidden) + torch.linalg.svdvals(rows)[:, :1]",
        )
    )
    with pytest.raises(BadInput, match=r"my_svd.py:Net: cannot be exported to ONNX: operator aten"):
        train(learn__model={"type": "my_svd.py:Net"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1.0", "returns float; expected tensors"),
        ("return {'a': channels['angle'].sum()}", "feature 'a' is"),
        ("return {'a': 1 / (channels['angle'] * 0)}", "'a' is not finite in the training split"),
        ("return {'a': channels['angel']}", "my_bad.py:2: KeyError: 'angel'"),
    ],
)
def test_features_that_cannot_be_used_are_refused(train, folder, body, message):
    (folder / "my_bad.py").write_text(f"def features(channels):\n    {body}\n")
    with pytest.raises(BadInput) as error:
        train(learn__features="my_bad.py:features")
    assert message in str(error.value)


@pytest.mark.ci
def test_an_ensemble_of_own_networks(train):
    training = train(learn__ensemble=2)
    assert training.summary.parameters > 0
    assert load(training.folder).states == ("angle", "velocity")


@pytest.mark.parametrize(
    ("encode", "decode", "message"),
    [
        (
            "return states",
            "return {k: v * 1.001 for k, v in x.items()}",
            "differs by .* in 'angle'",
        ),
        (
            "return states",
            "return {'angle': x['angle']}",
            "decode returns angle; expected the states",
        ),
        ("return 1", "return x", "encode returns int"),
        ("return {'a': states['velocity'].log()}", "return {}", "decode returns dict"),
    ],
)
def test_coordinates_without_an_inverse_are_refused(train, folder, encode, decode, message):
    (folder / "my_bad.py").write_text(
        "class Bad:\n"
        f"    def encode(self, states):\n        {encode}\n"
        f"    def decode(self, x):\n        {decode}\n"
    )
    with pytest.raises(BadInput, match=f"learn.coordinates: my_bad.py:Bad.*{message}"):
        train(learn__coordinates="my_bad.py:Bad")


def test_coordinates_need_a_model_that_learns_by_gradients(train):
    with pytest.raises(BadInput, match="needs `model`"):
        train(learn__model=None)
    with pytest.raises(BadInput, match="physics computes features of channels itself"):
        train(learn__model={"type": "physics"})
    with pytest.raises(BadInput, match="integrator: does not work with `coordinates`"):
        train(learn__integrator="rk4")


def test_a_network_predicts_in_coordinates():
    """A change of 1 standard deviation of log(x) multiplies x by exp(std)."""
    source = (
        "class Log:\n"
        "    def encode(self, states):\n        return {'y': states['x'].log()}\n"
        "    def decode(self, coordinates):\n        return {'x': coordinates['y'].exp()}\n"
    )
    own = make_own(OwnCoordinates, {"type": "log.py:Log", "source": source}, None)

    class Ones(torch.nn.Module):
        carry_shapes = ()

        def forward(self, features):
            return (torch.ones(len(features), 1),)

    layout = SimpleNamespace(coordinates=own, coordinate_names=("y",), states=("x",))
    network = CoordinateNetwork(Ones(), layout, torch.tensor([0.5]))
    state = torch.tensor([[1.0], [2.0]])
    (change,) = network(state, torch.zeros(2, 0), torch.zeros(2, 3))
    torch.testing.assert_close(state + change, state * math.exp(0.5))


def test_a_policy_acts_with_an_own_network():
    """Row by row as on whole windows, and its ONNX file as in torch."""
    source = (ROOT / "examples" / "own_code" / "my_net.py").read_text()
    model = {"type": "my_net.py:Net", "source": source, "width": 8}
    task, data = policy_task(model=model, seq_len=3), demonstrations()
    module, _ = task.learn.prepare(task, data, data, torch.device("cpu"))
    assert [type(network).__name__ for network in user_networks(module)] == ["WindowNetwork"]
    user_networks(module)[0].check_export()
    module.eval()
    with torch.no_grad():
        action, *carry = module(torch.zeros(1, 2), *module.initial_carry(1))
        again, *_ = module(torch.zeros(1, 2), *carry)
    torch.testing.assert_close(action, again)  # the window starts as copies of the first row
