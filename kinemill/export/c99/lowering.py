"""A graph of plain operations, node after node, to a program."""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from kinemill.errors import BadInput
from kinemill.export.c99.operations import OPERATIONS
from kinemill.export.c99.optimize import tidy
from kinemill.export.c99.program import Ids, Program
from kinemill.export.c99.values import Values


def compile_graph(graph: onnx.GraphProto, outputs: list[str], given: Mapping[str, Ids]) -> Program:
    """Return the program that works `outputs` out, for one row.

    Args:
        graph: of plain operations.
        outputs: names of its tensors.
        given: ids by input, from 0 on, without gaps, each with a leading batch of 1.

    Raises:
        BadInput: it holds an operation that is not known here, or one whose sizes are not.
    """
    program = Program(sum(item.size for item in given.values()))
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    values = Values(program, dict(given), constants)
    for node in needed(graph.node, set(outputs)):
        if values.fold(node):
            continue
        if node.op_type not in OPERATIONS or node.domain not in ("", "ai.onnx"):
            raise BadInput(
                "C99",
                f"the step holds {node.op_type}, which is not translated",
                expected=f"operations out of {', '.join(sorted(OPERATIONS))}",
                fix="run it with ONNX Runtime",
            )
        OPERATIONS[node.op_type](values, node)
    program.outputs = _computed(program, [values.ids(name) for name in outputs])
    tidy(program)
    return program


def _computed(program: Program, outputs: list[Ids]) -> Ids:
    """Return the ids of all outputs; constants among them are copied into memory."""
    ids = np.concatenate([one.reshape(-1) for one in outputs])
    constant = ids < 0
    if constant.any():
        ids[constant] = program.each("{0}", ids[constant])
    return ids


def needed(nodes: Iterable[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that lead to `wanted`, in order."""
    wanted, kept = set(wanted), list[onnx.NodeProto]()
    for node in reversed(list(nodes)):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    return kept[::-1]
