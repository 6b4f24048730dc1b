import copy
import dataclasses
import importlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from torch import nn

from kinemill.errors import BadInput, Blocked
from kinemill.export.interface import describe
from kinemill.export.step import export_any
from kinemill.export.step_files import write_model
from kinemill.runtime import load
from kinemill.store import file_digest
from kinemill.task.export import Export
from kinemill.task.plugins import MODELS
from tests.export.conftest import (
    DESCRIPTION,
    angle_free,
    assert_fed_back,
    batch,
    own_rows,
    published,
    random_step,
)
from tests.models.options import LEAST, MORE, OPTIONS


def kinds_of(folder: Path) -> set[str]:
    """Return the operations of both files, including those inside Scan operators."""
    graphs = [onnx.load(folder / name).graph for name in ("step.onnx", "rollout.onnx")]
    for graph in graphs:
        graphs += [part.g for node in graph.node for part in node.attribute if part.HasField("g")]
    return {node.op_type for graph in graphs for node in graph.node}


# The defaults without a history, every option with one. An export takes seconds: those of one model
# of each kind are made each time, all with every option before a change lands, the others nightly.
CASES = [({"type": name, **LEAST.get(name, {})}, 1) for name in sorted(MODELS)]
CASES += [({"type": name, **OPTIONS.get(name, {})}, 4) for name in sorted(MODELS)]
CASES += [({"type": name, **options}, 4) for name, options in MORE]
QUICK = {"mlp", "gru"}
SLOW = [({"type": name, **options}, 4) for name, options in MORE if name == "rigid_body"]


def marks(model, history):
    if (history == 1 and model["type"] not in QUICK) or (model, history) in SLOW:
        return [pytest.mark.slow]
    return [] if (model["type"], history) in {("mlp", 1), ("gru", 4)} else [pytest.mark.ci]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "history"),
    [pytest.param(c, h, id=f"{c['type']}-{h}", marks=marks(c, h)) for c, h in CASES],
)
def test_every_model_runs_from_its_files_as_in_torch_for_any_batch(model, history, tmp_path):
    step = random_step(model, history)
    simulator = load(published(step, tmp_path))
    assert "Dropout" not in kinds_of(tmp_path)
    for rows, horizon in ((1, 1), (1, 25), (7, 25), (256, 3)):
        inputs = batch(rows, history, horizon)
        with torch.no_grad():
            expected = step.rollout(*inputs).numpy()
        result = simulator.rollout(*(part.numpy() for part in inputs))
        assert result.shape == (rows, horizon, 2)
        assert result.dtype == np.float32
        assert angle_free(result - expected) < 2e-5  # float32 rounding over 25 steps
        assert_fed_back(simulator, [part.numpy() for part in inputs], result)


@pytest.fixture(scope="module")
def mlp_folder(step_folders) -> Path:
    return step_folders["mlp"]


def test_there_are_five_files_and_weights_are_inside(mlp_folder):
    expected = {"cases.npz", "io.yaml", "rollout.onnx", "sha256sums", "step.onnx"}
    assert {path.name for path in mlp_folder.iterdir()} == expected
    for name in ("step.onnx", "rollout.onnx"):
        model = onnx.load(mlp_folder / name, load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
        assert all(not item.external_data for item in model.graph.initializer)
        assert model.opset_import[0].version == 20
        assert not model.functions


def test_the_same_weights_give_the_same_bytes_without_a_trace_of_this_machine(mlp_folder, tmp_path):
    repeated = published(random_step("mlp"), tmp_path)
    for name in ("step.onnx", "rollout.onnx", "io.yaml", "cases.npz"):
        assert file_digest(repeated / name) == file_digest(mlp_folder / name)
        assert not re.search(rb"\.py|/home/|/usr/|stack_trace", (repeated / name).read_bytes())


def test_weights_are_held_once_and_a_window_warms_up_without_the_network(mlp_folder):
    rollout = onnx.load(mlp_folder / "rollout.onnx")
    scans = {node.name: node for node in rollout.graph.node if node.op_type == "Scan"}
    bodies = {
        name: next(item.g for item in node.attribute if item.name == "body")
        for name, node in scans.items()
    }
    assert set(bodies) == {"warm_up", "horizon"}
    assert not any(body.initializer for body in bodies.values())
    kinds = {name: {node.op_type for node in body.node} for name, body in bodies.items()}
    assert "Tanh" in kinds["horizon"]  # the network's layers; features are scaled in both
    assert "Tanh" not in kinds["warm_up"]
    sizes = {name: (mlp_folder / name).stat().st_size for name in ("step.onnx", "rollout.onnx")}
    assert sizes["rollout.onnx"] < 1.1 * sizes["step.onnx"]


def test_without_history_there_is_no_warm_up_and_no_empty_carry(tmp_path):
    folder = published(random_step("mlp", history=1), tmp_path)
    rollout = onnx.load(folder / "rollout.onnx")
    assert [node.name for node in rollout.graph.node if node.op_type == "Scan"] == ["horizon"]
    assert load(folder).interface.carry == ()


def test_both_files_say_what_they_are(mlp_folder):
    for name in ("step.onnx", "rollout.onnx"):
        model = onnx.load(mlp_folder / name)
        said = {item.key: json.loads(item.value) for item in model.metadata_props}
        assert said["states"] == ["angle", "velocity"]
        assert said["actions"] == ["torque"]
        assert said["units"] == {"angle": "rad", "velocity": "rad/s", "torque": "N*m"}
        assert said["limits"] == {"velocity": [-30.0, 30.0], "torque": [-6.0, 6.0]}
        assert said["angles"] == ["angle"]
        assert (said["dt"], said["history"], said["producer"]) == (0.02, 4, "kinemill")
        assert said["dataset"] == "d" * 64
        assert set(said["versions"]) == {"kinemill", "onnx", "onnxscript", "torch"}
        assert "commit" not in said
        assert said["lineage"] == {"dataset": "d" * 64}
        assert said["safe_action"] == {"torque": 0.0}
        assert said["precision"] == "fp32"
        assert (model.producer_name, model.opset_import[0].version) == ("kinemill", 20)


def test_io_yaml_names_every_tensor_of_both_files(mlp_folder):
    document = yaml.safe_load((mlp_folder / "io.yaml").read_text())
    for name, section in document["files"].items():
        graph = onnx.load(mlp_folder / name).graph
        for role, tensors in (("inputs", graph.input), ("outputs", graph.output)):
            assert [item["name"] for item in section[role]] == [item.name for item in tensors]
            for item, tensor in zip(section[role], tensors, strict=True):
                dims = tensor.type.tensor_type.shape.dim
                assert item["shape"] == [dim.dim_param or dim.dim_value for dim in dims]
                assert item["meaning"]
    assert document["files"]["step.onnx"]["inputs"][0]["units"] == ["rad", "rad/s"]


class Odd(nn.Module):
    """A network of operators in which other runtimes lose NaN, with dropout in training mode."""

    carry_shapes = ((3, 4),)

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(16, 64), nn.Linear(64, 2)
        self.dropout = nn.Dropout(0.5)

    def warm_up(self, features):
        return (features,)

    def forward(self, features, window):
        window = torch.cat([window, features.unsqueeze(1)], dim=1)
        hidden = torch.relu(self.inner(window.flatten(1)))
        hidden = torch.maximum(hidden.clamp(-1, 1), -torch.ones_like(hidden))
        return self.head(self.dropout(hidden)), window[:, 1:]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    step = random_step("mlp", 4, network=Odd())
    folder = tmp_path_factory.mktemp("odd")
    write_model(copy.deepcopy(step).train(), describe(DESCRIPTION, step), folder)
    return step, folder


def test_dropout_is_off_even_when_exported_in_training_mode(odd):
    step, folder = odd
    inputs = batch(5, 4, 6)
    with torch.no_grad():
        expected = step.eval().rollout(*inputs).numpy()
    result = load(folder).rollout(*(part.numpy() for part in inputs))
    assert angle_free(result - expected) < 2e-6


def test_torch_parses_its_operators_in_the_first_export_only():
    """If this fails, a new torch has made every export twice as slow: check the export."""
    for _ in range(2):
        export_any(torch.nn.Linear(1, 1).eval(), (torch.zeros(1, 1),))
    registry = importlib.import_module("torch.onnx._internal.exporter._registration").ONNXRegistry
    assert registry.from_torchlib.cache_info().misses == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_in_any_input_is_nan_in_all_of_that_row_and_in_no_other(bad, odd, gru_folder):
    for folder in (odd[1], gru_folder):
        simulator = load(folder, non_finite="pass")
        inputs = [part.numpy() for part in batch(9, 4, 6)]
        carry = simulator.warm_up(*inputs[:2])
        single = [inputs[0][:, -1].copy(), inputs[2][:, 0].copy(), *(c.copy() for c in carry)]
        run_with_bad_values(lambda: [simulator.rollout(*inputs)], inputs, bad)  # noqa: B023
        run_with_bad_values(lambda: simulator.step(*single), single, bad)  # noqa: B023


def run_with_bad_values(run, tensors, bad):
    """Put `bad` into row 5 of each tensor, at several places, one at a time."""
    for tensor in tensors:
        for position in range(0, tensor[0].size, 1 + tensor[0].size // 7):
            clean = tensor[5].flat[position]
            tensor[5].flat[position] = bad
            for output in run():
                assert np.isnan(output[5]).all()
                assert np.isfinite(np.delete(output, 5, axis=0)).all()
            tensor[5].flat[position] = clean


def test_a_step_that_gives_nan_is_refused(tmp_path):
    step = random_step("mlp")
    with torch.no_grad():
        step.network.head.weight[0, 0] = torch.nan
    with pytest.raises(Blocked, match="not finite"):
        published(step, tmp_path)


class Steep(nn.Module):
    """The ninth power of 1000 times the velocity: small up to 1e-4 rad/s, infinite at 1 rad/s."""

    carry_shapes = ()

    def warm_up(self, features):
        del features
        return ()

    def forward(self, features):
        power = (2e3 * (features[:, 2:3] - 0.1)) ** 9  # features are (velocity + 0.2) / 2
        return (torch.cat([power, power], dim=1),)


def test_the_first_comparison_is_on_rows_of_training(tmp_path):
    """A correct model of a small channel is accepted even if it overflows at 1 rad/s."""
    step = random_step("mlp", 1, network=Steep())
    _, rows = own_rows()
    rows = dataclasses.replace(rows, segments=[1e-5 * rows.values], std=1e-5 * rows.std)
    write_model(copy.deepcopy(step), describe(DESCRIPTION, step), tmp_path, Export(), rows)
    far = load(tmp_path, non_finite="pass").rollout(
        np.ones((1, 1, 2), np.float32),
        np.ones((1, 0, 1), np.float32),
        np.ones((1, 3, 1), np.float32),
    )
    assert not np.isfinite(far).all()


def test_a_carry_that_does_not_start_as_zeros_is_refused(tmp_path, monkeypatch):
    step = random_step("gru")
    monkeypatch.setattr(step, "initial_carry", lambda rows: (torch.ones(rows, 1, 128),))
    with pytest.raises(BadInput, match="initial carry: is not zero"):
        published(step, tmp_path)
