"""ONNX Runtime sessions: limited threads, no log output, errors as `BadInput`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput


def open_session(where: Path, model: bytes, threads: int) -> Any:
    """Return an `onnxruntime.InferenceSession` of a model.

    Args:
        where: source of the model, for messages.
        model: bytes of the file.
        threads: threads of one operation.

    Raises:
        BadInput: ONNX Runtime cannot load the model.
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
    """Return the session of a model with these inputs, in this order.

    Raises:
        BadInput: The model cannot be loaded, or has other inputs than `expected` describes.
    """
    session = open_session(where, model, threads)
    names = [item.name for item in session.get_inputs()]
    if names != list(inputs):
        raise BadInput(where, f"its inputs are {names}", expected=expected)
    return session
