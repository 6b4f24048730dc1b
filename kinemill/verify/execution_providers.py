"""Execution providers: the same files run by more threads and by the accelerators present."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.runtime import Interface, Simulator
from kinemill.verify.parity import Pair, Parity, Reference, compare_both

# Those that count in float32 as a CPU does; Core ML and NPUs round to half precision.
ACCELERATORS = {"CUDAExecutionProvider": "CUDA", "ROCMExecutionProvider": "ROCm"}
_EXACT = {"CUDAExecutionProvider": {"use_tf32": "0"}}
_CPU = "CPUExecutionProvider"
THREADS = 2  # other than the one that a robot uses


@dataclass(frozen=True)
class Sessions:
    """The two files as ONNX Runtime opened them; inputs are handed over as they are."""

    interface: Interface
    step_session: Any
    rollout_session: Any

    def rollout(self, states: Any, past_actions: Any, actions: Any) -> NDArray[Any]:
        """(N, H, S), (N, H-1, A), (N, T, A) -> (N, T, S)."""
        feed = {"states": states, "past_actions": past_actions, "actions": actions}
        return self.rollout_session.run(["next_states"], self._contiguous(feed))[0]

    def step(self, state: Any, action: Any, *carry: Any) -> tuple[NDArray[Any], ...]:
        """(N, S), (N, A), carry -> (N, S), carry."""
        names = [item.name for item in self.interface.carry]
        feed = {"state": state, "action": action, **dict(zip(names, carry, strict=True))}
        wanted = ["next_state", *(f"next_{name}" for name in names)]
        return tuple(self.step_session.run(wanted, self._contiguous(feed)))

    def _contiguous(self, feed: dict[str, Any]) -> dict[str, NDArray[Any]]:
        dtype = self.interface.dtype
        return {name: np.ascontiguousarray(value, dtype) for name, value in feed.items()}


def compare_elsewhere(
    folder: Path, threaded: Simulator, pair: Pair, reference: Reference
) -> list[Parity]:
    """Compare again with THREADS threads, and on every accelerator that is present."""
    found = compare_both(
        replace(pair, simulator=threaded), _called(reference, f"{THREADS} threads")
    )
    for provider in present():
        text = _called(reference, ACCELERATORS[provider])
        sessions = open_on(folder, pair.simulator.interface, provider)
        if sessions is not None:
            found += compare_both(replace(pair, simulator=sessions), text)
    return found


def _called(reference: Reference, where: str) -> Reference:
    probe = reference.probe
    return replace(reference, probe=replace(probe, name=f"{probe.name}, {where}"))


def present() -> Sequence[str]:
    """Return the accelerators that this ONNX Runtime was built for."""
    import onnxruntime as ort

    return [name for name in ACCELERATORS if name in ort.get_available_providers()]


def open_on(folder: Path, interface: Interface, provider: str) -> Sessions | None:
    """Open both files on an accelerator; None if there is none of this kind in the machine."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    wanted = [(provider, _EXACT.get(provider, {})), *({_CPU} - {provider})]
    opened = [
        ort.InferenceSession((folder / name).read_bytes(), options, providers=wanted)
        for name in ("step.onnx", "rollout.onnx")
    ]
    if any(session.get_providers()[0] != provider for session in opened):
        return None  # built for it, but the machine has none
    return Sessions(interface, *opened)
