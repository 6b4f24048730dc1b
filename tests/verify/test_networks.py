"""The diagram of a network from its ONNX file."""

import onnx
from onnx import TensorProto, helper, numpy_helper

from kinemill.reports.network_graph import Block, network
from kinemill.verify.networks import blocks_of, network_section


def two_layers() -> onnx.ModelProto:
    """Return a graph sin(x) W -> tanh -> V with a carry that equals x."""
    import numpy as np

    weights = [
        numpy_helper.from_array(np.ones(shape, np.float32), name)
        for name, shape in (("W", (3, 8)), ("V", (8, 2)))
    ]
    nodes = [
        helper.make_node("Sin", ["x"], ["s"]),
        helper.make_node("MatMul", ["s", "W"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("MatMul", ["t", "V"], ["action"]),
        helper.make_node("Identity", ["x"], ["next_x"]),
    ]
    arguments = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])]
    result = [
        helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("next_x", TensorProto.FLOAT, ["batch", 3]),
    ]
    return helper.make_model(helper.make_graph(nodes, "g", arguments, result, weights))


def test_matrices_lie_between_what_goes_in_and_what_comes_out():
    assert blocks_of(two_layers()) == [
        Block("x", "x", "batch x 3"),
        Block("h", "3 x 8", "sin", ("x",)),
        Block("action", "8 x 2", "tanh", ("h",)),
        Block("out action", "action", "batch x 2", ("action",)),
        Block("out next_x", "next_x", "batch x 3", ("x",)),
    ]


def test_each_box_is_right_of_what_it_takes_from():
    drawn = network(
        [Block("a", "in"), Block("b", "3 x 8", "", ("a",)), Block("c", "<out>", "", ("b",))]
    )
    assert drawn.count("<rect") == 3
    assert drawn.count("<path") == 2
    assert [f'<rect x="{180 * k}"' in drawn for k in range(3)] == [True] * 3
    assert "&lt;out&gt;" in drawn
    assert "3 x 8" in network_section(two_layers())
