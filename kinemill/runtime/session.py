"""ONNX Runtime sessions: threads, execution provider, no log output, errors as `BadInput`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
# Our short names of the providers of ONNX Runtime.
PROVIDERS = {"cpu": CPU, "cuda": CUDA, "tensorrt": "TensorrtExecutionProvider"}
# By default CUDA rounds inputs of matrix products to TF32; parity is checked without it.
_OPTIONS = {CUDA: {"use_tf32": "0"}}
_NEXT = {PROVIDERS["tensorrt"]: [CUDA]}  # fallbacks for operators that a provider lacks, then CPU


@dataclass(frozen=True)
class Execution:
    """How ONNX Runtime executes a model.

    Attributes:
        threads: threads of one operation on the CPU.
        provider: `cpu`, `cuda`, `tensorrt`, or the name of any provider of ONNX Runtime, such as
            `CoreMLExecutionProvider`.
    """

    threads: int = 1
    provider: str = "cpu"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            BadInput: Fewer than one thread, or a provider that is not available.
        """
        import onnxruntime as ort

        if not isinstance(self.threads, int) or self.threads < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadInput("threads", repr(self.threads), expected="1 or more")
        available = ort.get_available_providers()
        if self.provider_name not in available:
            short = [
                name
                for name, execution_provider in PROVIDERS.items()
                if execution_provider in available
            ]
            names = short + [name for name in available if name not in PROVIDERS.values()]
            fix = "for `cuda` and `tensorrt` install onnxruntime-gpu in place of onnxruntime"
            expected = f"one of {', '.join(names)}"
            raise BadInput(
                "provider", f"{self.provider!r} is not available", expected=expected, fix=fix
            )

    @property
    def provider_name(self) -> str:
        """The provider's name in ONNX Runtime."""
        return PROVIDERS.get(self.provider, self.provider)


def with_fallbacks(provider: str, available: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Return a provider with its options, and those that execute operators that it lacks.

    Args:
        provider: name in ONNX Runtime.
        available: providers of the installed ONNX Runtime.
    """
    fallbacks = [name for name in _NEXT.get(provider, []) if name in available]
    names = dict.fromkeys([provider, *fallbacks, CPU])
    return [(name, _OPTIONS.get(name, {})) for name in names]


def open_session(where: Path, model: bytes, execution: Execution) -> Any:
    """Return an `onnxruntime.InferenceSession` of a model.

    Operators that another provider lacks are executed on the CPU, those of TensorRT by CUDA.

    Args:
        where: source of the model, for messages.
        model: bytes of the file.
        execution: threads and provider.

    Raises:
        BadInput: ONNX Runtime cannot load the model, or the provider does not start.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = execution.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    provider = execution.provider_name
    try:
        providers = with_fallbacks(provider, ort.get_available_providers())
        session = ort.InferenceSession(model, options, providers=providers)
        # Both raise here for bytes that are not UTF-8, instead of later in the caller.
        _ = session.get_inputs(), session.get_modelmeta().custom_metadata_map
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        raise BadInput(where, f"ONNX Runtime cannot load it: {error}") from error
    if session.get_providers()[0] != provider:  # ONNX Runtime falls back without an error
        fix = "install the missing GPU libraries, or use provider='cpu'"
        raise BadInput("provider", f"{execution.provider!r} does not start", fix=fix)
    return session


def open_with(
    where: Path, model: bytes, execution: Execution, inputs: Sequence[str], expected: str
) -> Any:
    """Return the session of a model with these inputs, in this order.

    Raises:
        BadInput: The model cannot be loaded, or has other inputs than `expected` describes.
    """
    session = open_session(where, model, execution)
    names = [item.name for item in session.get_inputs()]
    if names != list(inputs):
        raise BadInput(where, f"its inputs are {names}", expected=expected)
    return session
