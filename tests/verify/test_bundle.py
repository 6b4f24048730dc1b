"""Checks of a model folder without its data and its trained network."""

import json
import shutil

import onnx
import pytest
from typer.testing import CliRunner

from benchmarks._exports import Export, random_step
from kinemill.cli.app import app
from kinemill.store import to_json_value
from kinemill.verify.bundle import verify_folder

BASE = {"type": "mlp", "hidden_sizes": [16, 16], "activation": "tanh"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    export = Export(random_step(BASE), tmp_path_factory.mktemp("whole"))
    export.write()
    return export


@pytest.fixture
def export(whole, tmp_path):
    shutil.copytree(whole.folder, tmp_path / "model")
    return Export(whole.step, tmp_path / "model")


def failed(result):
    result = result if isinstance(result, dict) else to_json_value(result)
    return {line["name"] for line in result["gates"] if not line["passed"]}


def verified(folder):
    run = CliRunner().invoke(app, ["model", "verify", str(folder), "--json"])
    return run.exit_code, json.loads(run.stdout) if run.stdout.startswith("{") else run


def test_a_sound_folder_is_verified_and_measured(whole):
    code, result = verified(whole.folder)
    assert (code, result["passed"], failed(result)) == (0, True, set())
    assert {file["file"] for file in result["files"]} == {"step.onnx", "rollout.onnx"}
    assert {
        "batch independence",
        "thread independence",
        "rollout equals steps",
        "invalid input is refused",
    } <= {line["name"] for line in result["gates"]}
    assert result["latency_ms"]["rollout"]["p99"] > 0
    assert result["cold_start"]["load_ms"] > 0
    message = CliRunner().invoke(app, ["model", "verify", str(whole.folder)])
    assert f"{whole.folder}: verified, a model of pendulum" in " ".join(message.stdout.split())


def test_a_file_that_differs_from_its_hash_is_not_run(export):
    (export.folder / "notes.txt").write_text("measured on Monday")
    sums = export.folder / "sha256sums"
    sums.write_text(f"{'0' * 64}  notes.txt\n")
    code, result = verified(export.folder)
    assert code == 1
    assert failed(result) == {"hashes"}
    assert len(result["gates"]) == 1
    assert result["latency_ms"] == {}
    message = CliRunner().invoke(app, ["model", "verify", str(export.folder)])
    assert message.exit_code == 1
    assert "the model was not run" in message.stdout


def test_a_batch_that_is_frozen_is_found_and_named(export):
    def freeze(model):
        for item in model.graph.input:
            item.type.tensor_type.shape.dim[0].dim_value = 1

    export.edit(freeze, "rollout.onnx")
    result = verify_folder(export.folder)
    assert {"rollout.onnx interface", "batch independence"} <= failed(result)
    line = next(line for line in result.gates if line.name == "batch independence")
    assert "INVALID_ARGUMENT" in line.value


def test_a_rollout_that_is_not_its_steps_is_found(export):
    def reverse(model):
        scan = next(node for node in model.graph.node if node.name == "horizon")
        scan.attribute.append(onnx.helper.make_attribute("scan_input_directions", [1]))

    export.edit(reverse, "rollout.onnx")
    assert "rollout equals steps" in failed(verify_folder(export.folder))


def test_what_is_no_model_is_bad_input(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        run = CliRunner().invoke(app, ["model", "verify", str(folder)])
        assert run.exit_code != 0
        assert "expected" in str(run.exception)
