"""Execution providers: names, options and order."""

from pathlib import Path
from types import SimpleNamespace

import onnxruntime
import pytest

from kinemill.errors import BadInput
from kinemill.runtime.session import Execution, open_session, with_fallbacks

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"


def test_a_gpu_computes_in_float32_and_lacking_operators_fall_back():
    exact = (CUDA, {"use_tf32": "0"})
    assert with_fallbacks(CPU, [CPU]) == [(CPU, {})]
    assert with_fallbacks(CUDA, [CUDA, CPU]) == [exact, (CPU, {})]
    assert with_fallbacks(TENSORRT, [TENSORRT, CUDA, CPU]) == [(TENSORRT, {}), exact, (CPU, {})]
    assert with_fallbacks(TENSORRT, [TENSORRT, CPU]) == [(TENSORRT, {}), (CPU, {})]


@pytest.fixture
def opened(monkeypatch):
    """Replace ONNX Runtime by one that reports a GPU, and record the requested providers."""
    requests = []

    class Session:
        started = [TENSORRT, CUDA, CPU]

        def __init__(self, model, options, providers):
            requests.append((model, [name for name, _ in providers]))

        def get_inputs(self):
            return []

        def get_modelmeta(self):
            return SimpleNamespace(custom_metadata_map={})

        def get_providers(self):
            return self.started

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return Session, requests


def test_tensorrt_is_opened_before_cuda_and_a_cpu(opened):
    open_session(Path("step.onnx"), b"model", Execution(provider="tensorrt"))
    assert opened[1] == [(b"model", [TENSORRT, CUDA, CPU])]


def test_a_provider_that_does_not_start_is_an_error(opened, monkeypatch):
    monkeypatch.setattr(opened[0], "started", [CPU])
    with pytest.raises(BadInput, match="'cuda' does not start"):
        open_session(Path("step.onnx"), b"model", Execution(provider="cuda"))
