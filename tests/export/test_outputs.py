"""Outputs that are not fed back, in the exported files: ONNX, C99, the interface, the runtime."""

import shutil
from functools import partial

import numpy as np
import onnx
import pytest
import torch
import yaml

from kinemill.errors import BadInput
from kinemill.export.c99 import generate, parity
from kinemill.export.c99.rollout import compile_rollout
from kinemill.runtime import load
from kinemill.runtime.self_test import read_cases
from kinemill.train.build import assemble
from kinemill.train.layout import layout_of
from kinemill.train.step import make_step
from kinemill.verify.exported_dynamics import ExportedDynamics
from kinemill.verify.nan_propagation import propagate_nan
from tests.export.conftest import DESCRIPTION, batch, published, scale_for, task_of
from tests.models.options import LEARN, OPTIONS

pytestmark = pytest.mark.ci

OUTPUTS = {
    "acceleration": {"role": "output", "unit": "rad/s^2"},
    "force": {"role": "output", "unit": "N"},
}
DESCRIBED = DESCRIPTION | {
    "units": DESCRIPTION["units"] | {"acceleration": "rad/s^2", "force": "N"}
}


def task_with_outputs(model: dict, history: int, **learn):
    raw = task_of(model, history, **LEARN.get(model["type"], {}), **learn)
    raw = raw.model_dump(mode="json", by_alias=True)
    return type(task_of(model, history)).model_validate(
        raw | {"channels": raw["channels"] | OUTPUTS}
    )


def random_step_with_outputs(model: dict, history: int = 4, **learn):
    torch.manual_seed(5)
    task = task_with_outputs(model, history, **learn)
    layout = layout_of(task)
    scale = scale_for(layout)
    if learn.get("ensemble"):
        return assemble(task.learn, layout, scale).eval()
    return make_step(task.learn.model, layout, scale).eval()


write = partial(published, described=DESCRIBED)


@pytest.fixture(scope="module")
def mlp_folder(tmp_path_factory):
    """Return the files of an MLP, which no test may change: an export takes 1 s."""
    return write(random_step_with_outputs({"type": "mlp"}), tmp_path_factory.mktemp("mlp"))


CASES = [
    ({"type": "mlp", **OPTIONS["mlp"]}, 4, {}),
    pytest.param({"type": "gru"}, 4, {"window": "sliding"}, marks=pytest.mark.ci),
    pytest.param({"type": "gru", **OPTIONS["gru"]}, 4, {}, marks=pytest.mark.slow),
    pytest.param({"type": "rigid_body", **OPTIONS["rigid_body"]}, 4, {}, marks=pytest.mark.slow),
    pytest.param({"type": "arx"}, 3, {}, marks=pytest.mark.slow),
    pytest.param({"type": "latent", **OPTIONS["latent"]}, 4, {}, marks=pytest.mark.ci),
    pytest.param({"type": "mlp", "hidden_sizes": [8]}, 2, {"ensemble": 2}, marks=pytest.mark.ci),
]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "history", "learn"), CASES, ids=str)
def test_the_files_give_the_outputs_of_torch(model, history, learn, tmp_path):
    step = random_step_with_outputs(model, history, **learn)
    simulator = load(write(step, tmp_path))
    assert simulator.outputs == ("acceleration", "force")
    inputs = batch(7, history, 12)
    with torch.no_grad():
        expected = step.rollout_channels(*inputs).numpy()
    arrays = [part.numpy() for part in inputs]
    states, outputs = simulator.rollout_outputs(*arrays)
    assert outputs.shape == (7, 12, 2)
    assert np.array_equal(states, simulator.rollout(*arrays))
    scale = np.abs(expected[..., 2:]).max()
    assert np.abs(outputs - expected[..., 2:])[:, :3].max() < 1e-4 * scale
    # One step with the carry of the history gives the first outputs of the rollout.
    carry = simulator.warm_up(*arrays[:2])
    first = simulator.step_outputs(arrays[0][:, -1], arrays[2][:, 0], *carry)
    assert np.abs(first - outputs[:, 0]).max() < 1e-4 * scale


def test_outputs_change_with_the_action_of_their_own_row_alone(mlp_folder):
    simulator = load(mlp_folder)
    states, past, actions = (part.numpy() for part in batch(2, 4, 6))
    changed = actions.copy()
    changed[:, 3] += 1.0
    previous = simulator.rollout_outputs(states, past, actions)[1]
    after = simulator.rollout_outputs(states, past, changed)[1]
    assert np.array_equal(previous[:, :3], after[:, :3])
    assert (np.abs(after - previous)[:, 3] > 0.0).all()


def test_the_interface_lists_outputs_and_a_run_needs_none_of_them(mlp_folder):
    document = yaml.safe_load((mlp_folder / "io.yaml").read_text())
    roles = {
        channel["name"]: (channel["role"], channel["unit"]) for channel in document["channels"]
    }
    assert roles["acceleration"] == ("output", "rad/s^2")
    for file, shape in (("step.onnx", ["batch", 2]), ("rollout.onnx", ["batch", "horizon", 2])):
        tensors = {output["name"]: output for output in document["files"][file]["outputs"]}
        assert tensors["outputs"]["shape"] == shape
        assert tensors["outputs"]["channels"] == ["acceleration", "force"]
        inputs = [
            input_["channels"]
            for input_ in document["files"][file]["inputs"]
            if "channels" in input_
        ]
        assert all("force" not in names for names in inputs)


@pytest.fixture(scope="module")
def c99_folder(tmp_path_factory):
    """Return the files of a GRU, C among them."""
    step = random_step_with_outputs({"type": "gru", "hidden_size": 12})
    return write(step, tmp_path_factory.mktemp("gru"), c99=True)


def test_a_nan_reaches_the_outputs_of_its_row_and_of_no_other(c99_folder):
    exported = ExportedDynamics(c99_folder)
    probe = exported.make_probes()[0]
    results = propagate_nan(exported.nan_calls(probe))
    assert {result.call for result in results} == {"rollout", "step", "outputs", "step outputs"}
    assert all(result.passed for result in results)


def test_every_check_of_the_files_passes(mlp_folder):
    exported = ExportedDynamics(mlp_folder)
    gates = exported.check_files(exported.models())
    assert [gate for gate in gates if not gate.passed] == []


def test_a_file_that_lacks_its_outputs_fails(mlp_folder, tmp_path):
    folder = shutil.copytree(mlp_folder, tmp_path / "changed")
    model = onnx.load(folder / "step.onnx")
    retained = [entry for entry in model.graph.output if entry.name != "outputs"]
    del model.graph.output[:]
    model.graph.output.extend(retained)
    onnx.save(model, folder / "step.onnx")
    exported = ExportedDynamics(folder)
    failed = [gate for gate in exported.check_files(exported.models()) if not gate.passed]
    assert [gate.name for gate in failed] == ["step.onnx interface"]
    assert "no outputs" in failed[0].value


def test_c_gives_the_outputs_of_the_files(c99_folder):
    header = (c99_folder / "step.h").read_text()
    assert "#define PENDULUM_OUTPUTS 2" in header
    assert " * output[1]: force, N" in header
    simulator = load(c99_folder / "rollout.onnx", non_finite="pass")
    cases = read_cases(c99_folder)
    source = generate((c99_folder / "step.onnx").read_bytes())
    compiled = parity.Compiled(c99_folder, source)
    assert parity.compare(compiled, simulator, cases) < 1e-3
    compiled.outputs = lambda *_: None  # writes none
    with pytest.raises(Exception, match=r"step\.c.*differs from step\.onnx"):
        parity.compare(compiled, simulator, cases)


def test_a_compiled_rollout_still_gives_outputs_by_the_onnx_file(mlp_folder):
    simulator = load(mlp_folder)
    arrays = [part.numpy() for part in batch(3, 4, 5)]
    previous = simulator.rollout_outputs(*arrays)[1]
    simulator.use_compiled(compile_rollout((mlp_folder / "step.onnx").read_bytes()))
    assert np.array_equal(simulator.rollout_outputs(*arrays)[1], previous)


def test_a_model_without_outputs_says_so(step_folders):
    simulator = load(step_folders["mlp"])
    assert simulator.outputs == ()
    arrays = [part.numpy() for part in batch(1, 4, 2)]
    with pytest.raises(BadInput, match="has no outputs"):
        simulator.rollout_outputs(*arrays)
    with pytest.raises(BadInput, match="has no outputs"):
        simulator.step_outputs(arrays[0][:, -1], arrays[2][:, 0])


def test_float64_files_have_float64_outputs(tmp_path):
    simulator = load(
        write(random_step_with_outputs({"type": "mlp"}), tmp_path, precision="float64")
    )
    arrays = [part.numpy().astype(np.float64) for part in batch(2, 4, 3)]
    assert simulator.rollout_outputs(*arrays)[1].dtype == np.float64
