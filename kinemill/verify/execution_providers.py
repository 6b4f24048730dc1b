"""Execution providers: parity with more threads and on each available accelerator."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnxruntime as ort

from kinemill.errors import BadInput
from kinemill.runtime import Simulator, load_simulator
from kinemill.runtime.session import CUDA, PROVIDERS
from kinemill.verify.parity import Pair, Parity, Reference, compare_calls, failed_parity

# Providers that compute in float32 like a CPU. Core ML and NPUs round to half precision.
ACCELERATORS = {CUDA: "CUDA", "ROCMExecutionProvider": "ROCm"}
REQUIRED = {"cuda": "CUDA", "tensorrt": "TensorRT"}  # values of `verify.providers`
THREADS = 2  # robots use one thread


def compare_providers(
    folder: Path,
    threaded: Simulator,
    pair: Pair,
    reference: Reference,
    required: Sequence[str] = (),
) -> list[Parity]:
    """Compare the files with THREADS threads and on accelerators with the trained step.

    Each provider in `required` must be available; if it is empty, every available one is used.
    """
    named = _with_suffix(reference, f"{THREADS} threads")
    rows = compare_calls(replace(pair, simulator=threaded), named)
    rows = [replace(row, threads=THREADS) for row in rows]
    names = {PROVIDERS[name]: REQUIRED[name] for name in required}
    names = names or {name: ACCELERATORS[name] for name in available_accelerators()}
    for provider, suffix in names.items():
        named = _with_suffix(reference, suffix)
        simulator = open_on(folder, provider)
        if simulator is not None:
            rows += compare_calls(replace(pair, simulator=simulator), named)
        elif required:
            missing = RuntimeError(f"{provider} of verify.providers is not available here")
            rows += [failed_parity(call, named.probe, missing) for call in ("step", "rollout")]
    return rows


def _with_suffix(reference: Reference, suffix: str) -> Reference:
    probe = reference.probe
    return replace(reference, probe=replace(probe, name=f"{probe.name}, {suffix}"))


def available_accelerators() -> Sequence[str]:
    """Return the accelerators that this build of ONNX Runtime supports."""
    return [name for name in ACCELERATORS if name in ort.get_available_providers()]


def open_on(folder: Path, provider: str) -> Simulator | None:
    """Load the files on an accelerator; None if the machine does not have it."""
    try:
        return load_simulator(folder, provider=provider, non_finite="pass")
    except BadInput as error:
        if error.where != "provider":
            raise
        return None
