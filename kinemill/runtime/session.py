"""ONNX Runtime behind one function: one thread by default, quiet, its errors made ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput


def open_session(where: Path, model: bytes, threads: int) -> Any:
    """Return an `onnxruntime.InferenceSession` of a model.

    Args:
        where: where the model came from, for messages.
        model: its bytes.
        threads: within one operation.

    Raises:
        BadInput: ONNX Runtime cannot load it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        _ = session.get_inputs(), session.get_modelmeta().custom_metadata_map  # text, or it raises
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        raise BadInput(where, f"ONNX Runtime cannot load it: {error}") from error
    return session


def open_with(where: Path, model: bytes, threads: int, inputs: Sequence[str], expected: str) -> Any:
    """Return the session of a model with inputs of these names, in this order.

    Raises:
        BadInput: it cannot be loaded, or has others than what is `expected`, in words.
    """
    session = open_session(where, model, threads)
    names = [item.name for item in session.get_inputs()]
    if names != list(inputs):
        raise BadInput(where, f"its inputs are {names}", expected=expected)
    return session
