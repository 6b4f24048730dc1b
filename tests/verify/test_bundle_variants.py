"""`kinemill model verify FOLDER` checks quantized files like the original ones."""

import copy
import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kinemill.export.bundle import seal
from kinemill.export.interface import describe
from kinemill.export.step_files import Extras, write_model
from kinemill.store import to_json_value
from kinemill.task.export import Export
from kinemill.verify.bundle import verify_folder
from tests.export.conftest import DESCRIPTION, own_rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Export a model with both variants; it predicts its own rows, so any loss is allowed."""
    step, rows = own_rows()
    folder = tmp_path_factory.mktemp("whole")
    extras = Extras(Export(also=["fp16", "int8"], loss=1e6), rows)
    write_model(copy.deepcopy(step), describe(DESCRIPTION, step), folder, extras)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def failed(folder):
    result = verify_folder(folder)
    assert json.dumps(to_json_value(result), allow_nan=False)
    return {line.name for line in result.gates if not line.passed}


def edit(folder, name, change):
    for part in ("step", "rollout"):
        path = folder / f"{part}.{name}.onnx"
        model = onnx.load(path)
        change(model)
        onnx.save(model, path)
    seal(folder)


def weights(model):
    return [one for one in model.graph.initializer if len(one.dims) == 2 and max(one.dims) > 8]


def test_every_variant_is_tried_as_the_original_is(whole):
    result = verify_folder(whole)
    assert result.passed, [line for line in result.gates if not line.passed]
    names = [line.name for line in result.gates]
    attempts = [
        "batch independence",
        "thread independence",
        "rollout equals steps",
        "NaN stays in its row",
        "repeatable",
    ]
    attempts += ["angles within ±π", "invalid input is refused", "rounding", "precision"]
    for name in ("fp16", "int8"):
        assert [line for line in names if line.startswith(f"{name}: ")] == [
            f"{name}: {attempt}" for attempt in attempts
        ]
        for part in ("step", "rollout"):
            assert f"{part}.{name}.onnx is valid" in names
    message = {
        line.name: float(line.value.split()[0])
        for line in result.gates
        if line.name.endswith(": rounding")
    }
    # 2^-11 and 2^-7 of what enters a layer; a sound one has a small share of what is allowed.
    assert 2**-16 < message["fp16: rounding"] < 8 * 2**-11
    assert 2**-12 < message["int8: rounding"] < 8 * 2**-7


@pytest.mark.parametrize("name", ["fp16", "int8"])
def test_a_variant_whose_weights_are_another_models_is_found_and_named(folder, name):
    def turn(model):
        for weight in weights(model):
            weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), weight.name))

    edit(folder, name, turn)
    assert failed(folder) == {f"{name}: rounding"}


def test_a_variant_of_nan_is_found_and_named(folder):
    def spoil(model):
        for weight in weights(model):
            lost = np.full(weight.dims, np.nan, np.float16)
            weight.CopyFrom(numpy_helper.from_array(lost, weight.name))

    edit(folder, "fp16", spoil)
    assert {"fp16: batch independence", "fp16: rollout equals steps", "fp16: rounding"} <= failed(
        folder
    )


def test_a_variant_that_is_not_what_its_name_says_is_found(folder):
    for part in ("step", "rollout"):
        shutil.copy(folder / f"{part}.onnx", folder / f"{part}.int8.onnx")
    seal(folder)
    assert failed(folder) == {"int8: precision"}


def test_a_variant_without_its_step_does_not_run(folder):
    (folder / "step.int8.onnx").unlink()
    seal(folder)
    assert failed(folder) == {"int8: runs"}
