import copy

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from kinemill.export.constant_folding import fold
from kinemill.export.step import trace
from kinemill.runtime import load
from tests.export.conftest import batch, published, random_step


def graph(nodes, constants, width=2):
    """Return a graph from (B, width) to y (B, width) with `nodes` (type, inputs, output)."""
    made = [helper.make_node(kind, inputs, [out]) for kind, inputs, out in nodes]
    sizes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", width]) for n in "xy"]
    values = [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in constants.items()]
    return helper.make_graph(made, "step", sizes[:1], sizes[1:], values)


def run(core, x):
    model = helper.make_model(core, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x.astype(np.float32)})[0]


def test_scale_shift_and_matrix_after_a_layer_become_the_layer():
    """((x W + b) s + m) G = x (W s G) + (b s + m) G: one operation instead of four."""
    constants = {"W": [[1, 2], [3, 4]], "b": [1, -1], "s": [2, 3], "m": [5, 7]}
    constants |= {"G": [[1, 1], [0, 2]]}
    core = graph(
        [
            ("Gemm", ["x", "W", "b"], "h"),
            ("Mul", ["h", "s"], "scaled"),
            ("Add", ["scaled", "m"], "shifted"),
            ("MatMul", ["shifted", "G"], "y"),
        ],
        constants,
    )
    folded = fold(core)
    assert [node.op_type for node in folded.node] == ["Gemm"]
    # By hand for x = (1, 1): h = (5, 5), scaled (10, 15), shifted (15, 22), y = (15, 59).
    np.testing.assert_array_equal(run(folded, np.ones((1, 2))), [[15.0, 59.0]])
    np.testing.assert_array_equal(run(core, np.ones((1, 2))), [[15.0, 59.0]])


def test_what_adds_zero_or_takes_everything_goes():
    constants = {"D": np.zeros((2, 2)), "one": [1.0, 1.0], "p": [0.0, 0.0]}
    core = graph(
        [
            ("MatMul", ["x", "D"], "none"),
            ("Tanh", ["x"], "t"),
            ("Add", ["t", "none"], "sum"),
            ("Mul", ["sum", "one"], "same"),
            ("Mul", ["same", "p"], "turns"),
            ("Round", ["turns"], "whole"),
            ("Sub", ["same", "whole"], "y"),
        ],
        constants,
    )
    folded = fold(core)
    assert [node.op_type for node in folded.node] == ["Tanh"]
    np.testing.assert_allclose(run(folded, np.ones((3, 2))), np.tanh(np.ones((3, 2))), rtol=1e-6)


def test_a_layer_that_two_listen_to_and_a_constant_that_spreads_out_stay():
    core = graph(
        [
            ("Gemm", ["x", "W", "b"], "h"),
            ("Mul", ["h", "s"], "scaled"),
            ("Add", ["h", "scaled"], "y"),
        ],
        {"W": np.eye(2), "b": [0, 1], "s": [2, 2]},
    )
    assert [node.op_type for node in fold(core).node] == ["Gemm", "Mul", "Add"]
    wide = graph(
        [("Gemm", ["x", "W", "b"], "h"), ("Mul", ["h", "s"], "y")],
        {"W": np.ones((2, 1)), "b": [0], "s": [2, 3]},
    )
    assert [node.op_type for node in fold(wide).node] == ["Gemm", "Mul"]
    np.testing.assert_array_equal(run(fold(wide), np.ones((1, 2))), [[4.0, 6.0]])


@pytest.mark.parametrize(("mean", "operations"), [(6.0, ["Gemm"]), (60.0, ["Sub", "Div"])])
def test_scaling_is_one_operation_unless_that_would_cost_digits(mean, operations):
    """(x - mean) / 2 at x = (7, 8) is one product if the mean is at most 8 deviations from 0."""
    core = graph(
        [("Sub", ["x", "m"], "moved"), ("Div", ["moved", "s"], "y")],
        {"m": [mean, mean], "s": [2.0, 2.0]},
    )
    folded = fold(core)
    assert [node.op_type for node in folded.node] == operations
    expected = [[(7.0 - mean) / 2, (8.0 - mean) / 2]]
    np.testing.assert_allclose(run(folded, np.array([[7.0, 8.0]])), expected, atol=1e-6)


@pytest.mark.parametrize("model", ["mlp", "gru"])
def test_the_folded_step_rolls_out_like_the_trained_one(model, tmp_path):
    step = random_step(model)
    simulator = load(published(step, tmp_path))
    core = trace(copy.deepcopy(step), simulator.interface)
    kinds = [node.op_type for node in core.node]
    inputs = batch(7, 4, 25)
    result = simulator.rollout(*(part.numpy() for part in inputs))
    expected = step.rollout(*inputs).detach().numpy()
    off = result - expected
    off[..., 0] -= 2 * np.pi * np.round(off[..., 0] / (2 * np.pi))
    # 25 steps of float32 from values of up to 6: some hundred times its last bit.
    assert np.abs(off).max() < 2e-4
    assert kinds.count("MatMul") <= 1  # output scale and gain are in the head


def input_columns(transposed=False):
    """Features of a step: cosine and sine of column 0 of (x, a), the others, then a layer."""
    weight = np.arange(8.0).reshape(4, 2) - 3.0
    constants = {"W": weight.T if transposed else weight, "b": [0.5, -0.5]}
    nodes = [
        helper.make_node("Concat", ["x", "a"], ["all"], axis=1),
        helper.make_node("Gather", ["all", "angle"], ["picked"], axis=1),
        helper.make_node("Cos", ["picked"], ["cos"]),
        helper.make_node("Sin", ["picked"], ["sin"]),
        helper.make_node("Gather", ["all", "plain"], ["rest"], axis=1),
        helper.make_node("Concat", ["cos", "sin", "rest"], ["features"], axis=-1),
        helper.make_node("Gemm", ["features", "W", "b"], ["y"], transB=int(transposed)),
    ]
    x, a, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("x", 2), ("a", 1), ("y", 2))
    )
    values = [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in constants.items()]
    positions = {"angle": [0], "plain": [2, 1]}  # in an order of their own
    values += [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in positions.items()]
    return helper.make_graph(nodes, "step", [x, a], [y], values)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_layer_chooses_its_columns_and_an_angle_is_taken_where_it_is(transposed):
    core = input_columns(transposed)
    folded = fold(core)
    kinds = [node.op_type for node in folded.node]
    assert kinds == ["Gather", "Cos", "Sin", "Concat", "Gemm"]
    random = np.random.default_rng(0)
    inputs = {"x": random.normal(size=(5, 2)), "a": random.normal(size=(5, 1))}
    arguments = {name: value.astype(np.float32) for name, value in inputs.items()}
    result, expected = (
        ort.InferenceSession(
            helper.make_model(
                one, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
            ).SerializeToString(),
            providers=["CPUExecutionProvider"],
        ).run(["y"], arguments)[0]
        for one in (folded, core)
    )
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_a_part_in_double_precision_leaves_the_scales_of_the_other_part_single():
    core = graph(
        [("Sub", ["x", "mean"], "centered"), ("Div", ["centered", "std"], "scaled")],
        {"mean": [1.0, 2.0], "std": [2.0, 4.0]},
    )
    core.node.append(helper.make_node("Cast", ["scaled"], ["wide"], to=TensorProto.DOUBLE))
    core.node.append(helper.make_node("Add", ["wide", "offset"], ["moved"]))
    core.node.append(helper.make_node("Cast", ["moved"], ["y"], to=TensorProto.FLOAT))
    core.initializer.append(numpy_helper.from_array(np.array([1.0, 1.0]), "offset"))
    folded = fold(core)
    assert [node.op_type for node in folded.node] == ["Gemm", "Cast", "Add", "Cast"]
    # (3 - 1) / 2 + 1 and (2 - 2) / 4 + 1.
    np.testing.assert_allclose(run(folded, np.array([[3.0, 2.0]])), [[2.0, 1.0]], rtol=1e-6)
