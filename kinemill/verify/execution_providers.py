"""Execution providers: parity with more threads and on each available accelerator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime import InferenceSession

from kinemill.runtime import Interface, Simulator
from kinemill.runtime.session import CUDA, PROVIDERS, with_fallbacks
from kinemill.verify.parity import Pair, Parity, Reference, compare_both, failed_parity
from kinemill.verify.test_inputs import Array, Arrays

# Providers that compute in float32 like a CPU. Core ML and NPUs round to half precision.
ACCELERATORS = {CUDA: "CUDA", "ROCMExecutionProvider": "ROCm"}
REQUIRED = {"cuda": "CUDA", "tensorrt": "TensorRT"}  # values of `verify.providers`
THREADS = 2  # robots use one thread


@dataclass(frozen=True)
class Sessions:
    """Step and rollout as sessions of ONNX Runtime, without checks of the inputs."""

    interface: Interface
    step_session: InferenceSession
    rollout_session: InferenceSession

    def rollout(self, states: Array, past_actions: Array, actions: Array) -> Array:
        """Run the rollout: (N, H, S), (N, H-1, A), (N, T, A) -> (N, T, S), in units."""
        feed = {"states": states, "past_actions": past_actions, "actions": actions}
        (rolled,) = self.rollout_session.run(["next_states"], self._contiguous(feed))
        return np.asarray(rolled)

    def rollout_outputs(
        self, states: Array, past_actions: Array, actions: Array
    ) -> tuple[Array, Array]:
        """Roll out with outputs: (N, H, S), (N, H-1, A), (N, T, A) -> (N, T, S), (N, T, Y)."""
        feed = {"states": states, "past_actions": past_actions, "actions": actions}
        rolled, outputs = self.rollout_session.run(
            ["next_states", "outputs"], self._contiguous(feed)
        )
        return np.asarray(rolled), np.asarray(outputs)

    def step(self, state: Array, action: Array, *carry: Array) -> tuple[Array, ...]:
        """Advance one step: (N, S), (N, A), carry -> (N, S), carry."""
        outputs = ["next_state", *(f"next_{item.name}" for item in self.interface.carry)]
        return self._run_step(outputs, state, action, carry)

    def step_outputs(self, state: Array, action: Array, *carry: Array) -> Array:
        """Return the outputs of one step: (N, S), (N, A), carry -> (N, Y)."""
        return self._run_step(["outputs"], state, action, carry)[0]

    def _run_step(
        self, outputs: list[str], state: Array, action: Array, carry: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        names = [item.name for item in self.interface.carry]
        feed = {"state": state, "action": action, **dict(zip(names, carry, strict=True))}
        values = self.step_session.run(outputs, self._contiguous(feed))
        return tuple(np.asarray(value) for value in values)

    def _contiguous(self, feed: Arrays) -> Arrays:
        dtype = self.interface.dtype
        return {name: np.ascontiguousarray(value, dtype) for name, value in feed.items()}


def compare_providers(
    folder: Path,
    threaded: Simulator,
    pair: Pair,
    reference: Reference,
    required: Sequence[str] = (),
) -> list[Parity]:
    """Compare the files with THREADS threads and on accelerators with the trained step.

    Args:
        folder: folder of step.onnx and rollout.onnx.
        threaded: the files, loaded with THREADS threads.
        pair: the files on one thread, and the trained step.
        reference: evaluations of the step.
        required: `verify.providers`: each must be available. If empty, use every available one.
    """
    named = _with_suffix(reference, f"{THREADS} threads")
    rows = compare_both(replace(pair, simulator=threaded), named)
    rows = [replace(row, threads=THREADS) for row in rows]
    names = {PROVIDERS[name]: REQUIRED[name] for name in required}
    names = names or {name: ACCELERATORS[name] for name in available_accelerators()}
    for provider, suffix in names.items():
        named = _with_suffix(reference, suffix)
        sessions = open_on(folder, pair.simulator.interface, provider)
        if sessions is not None:
            rows += compare_both(replace(pair, simulator=sessions), named)
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


def open_on(folder: Path, interface: Interface, provider: str) -> Sessions | None:
    """Open both files on an accelerator; None if the machine does not have it."""
    if provider not in ort.get_available_providers():
        return None
    options = ort.SessionOptions()
    options.log_severity_level = 3
    providers = with_fallbacks(provider, ort.get_available_providers())
    opened = [
        ort.InferenceSession((folder / name).read_bytes(), options, providers=providers)
        for name in ("step.onnx", "rollout.onnx")
    ]
    if any(session.get_providers()[0] != provider for session in opened):
        # ONNX Runtime falls back to the CPU without an error if the machine lacks the accelerator.
        return None
    return Sessions(interface, *opened)
