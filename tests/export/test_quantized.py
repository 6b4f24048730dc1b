"""Quantized variants: their size, their loss of accuracy, and the limit for leaving them out."""

import copy
import json

import numpy as np
import onnx
import pytest

from kinemill.errors import BadInput
from kinemill.export.interface import describe
from kinemill.export.step_files import Extras, write_model
from kinemill.runtime import load
from kinemill.runtime.window_metrics import QUIETLY
from kinemill.task.export import Export
from tests.export.conftest import DESCRIPTION, own_rows, random_step

ROWS = 400


@pytest.fixture(scope="module")
def rows():
    return own_rows()


def exported(rows, folder, **settings):
    step, data = rows
    folder.mkdir(exist_ok=True)
    extras = Extras(Export(**settings), data)
    return write_model(copy.deepcopy(step), describe(DESCRIPTION, step), folder, extras)


@pytest.fixture(scope="module")
def folder(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    # The float32 model is all but perfect on its own rows, so any loss is many times its error.
    summary = exported(rows, folder, also=["fp16", "int8"], loss=1e6)
    return folder, summary


def kinds(path):
    graph = onnx.load(path).graph
    return {onnx.TensorProto.DataType.Name(item.data_type) for item in graph.initializer}


def test_variants_hold_fewer_bits_and_no_operators_of_their_own(folder):
    where, summary = folder
    sizes = summary.bytes
    assert sizes["step.fp16.onnx"] < 0.75 * sizes["step.onnx"]
    assert sizes["step.int8.onnx"] < 0.55 * sizes["step.onnx"]
    for name, kind in (("fp16", "FLOAT16"), ("int8", "INT8")):
        for file in (f"step.{name}.onnx", f"rollout.{name}.onnx"):
            model = onnx.load(where / file)
            onnx.checker.check_model(model, full_check=True)
            assert kind in kinds(where / file)
            assert {item.domain for item in model.opset_import} == {""}
            said = {item.key: item.value for item in model.metadata_props}
            assert json.loads(said["precision"]) == name


@QUIETLY
def test_what_they_lose_is_what_their_bits_tell(folder):
    result = folder[1].variants
    assert all(item.passed and not item.why for item in result.values())
    assert result["fp16"].nrmse_fp32 < 1e-4
    # Half precision tells 2^-11, the integers 2^-7 of their range; 25 steps add up.
    assert 2 * result["fp16"].nrmse_fp32 < result["fp16"].nrmse < 25 * 2**-11
    assert 4 * result["fp16"].nrmse < result["int8"].nrmse < 25 * 2**-7


def test_they_run_as_the_original_does(folder, rows):
    where, _ = folder
    _, data = rows
    states = np.asarray(data.values[None, 100:104, :2])
    past, actions = (np.asarray(data.values[None, a:b, 2:]) for a, b in ((100, 103), (103, 108)))
    expected = load(where).rollout(states, past, actions)
    for name in ("fp16", "int8"):
        variant = load(where / f"rollout.{name}.onnx")
        off = np.abs(variant.rollout(states, past, actions) - expected) / data.std[:2]
        assert 0.0 < off.max() < 0.3
        state, carry = states[:, -1], variant.warm_up(states, past)
        after, *_ = variant.step(state, actions[:, 0], *carry)
        np.testing.assert_array_equal(after, variant.rollout(states, past, actions)[:, 0])


@pytest.mark.slow
def test_one_that_loses_too_much_is_left_out_and_said_so(rows, tmp_path):
    summary = exported(rows, tmp_path / "model", also=["int8"], loss=1e-6)
    result = summary.variants["int8"]
    assert not result.passed
    assert result.nrmse > result.allowed
    assert not list((tmp_path / "model").glob("*int8*"))


def test_int8_without_windows_to_scale_it_on_is_refused(tmp_path):
    step = random_step("mlp")
    extras = Extras(Export(also=["int8"]))
    with pytest.raises(BadInput, match=r"export\.also: there is no dataset"):
        write_model(step, describe(DESCRIPTION, step), tmp_path, extras)
