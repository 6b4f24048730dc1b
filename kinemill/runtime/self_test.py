"""Self-test of a model where it is deployed: hashes, stored parity cases, latency.

It checks that this copy, with the ONNX Runtime of this machine, computes what the exported model
computed. The accuracy of the model is in verification.json.

Symbols: N cases, H history, T horizon, S states, A actions.
"""

import hashlib
import platform
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.runtime import policy_self_test
from kinemill.runtime.input_checks import Array
from kinemill.runtime.integrity import (
    IO,
    POLICY,
    ROLLOUT,
    SUMS,
    interface_fault,
    read_sums,
    unlisted,
)
from kinemill.runtime.interface import wrapped
from kinemill.runtime.loader import load
from kinemill.runtime.model_safety import refuse_folder, refuse_model
from kinemill.runtime.simulator import Simulator
from kinemill.runtime.timing import CALLS, Json, Latencies, Line, line, timed

CASES = "cases.npz"
INPUTS = ("states", "past_actions", "actions")
STEPS = 5  # number of steps of step.onnx that are compared

Arrays = dict[str, NDArray[np.float32]]


def verify(folder: Path, *, calls: int = CALLS, bound_ms: float | None = None) -> Json:
    """Check the model in a folder and return the results, `passed` first.

    Args:
        folder: a folder with `sha256sums` and `cases.npz`.
        calls: calls in each of the five blocks of the latency measurement.
        bound_ms: limit of the 99th percentile of the latency of a rollout, or of `act`, ms.

    Returns:
        `lines` of the checks, and with intact files `task`, `latency_ms` and versions.

    Raises:
        BadInput: The folder holds no model, or a file that may run code.
        CorruptArtifact: A required file or the stored cases are missing or invalid.
    """
    if not folder.is_dir():
        raise BadInput(folder, "is not a folder", expected="the folder of a model")
    refuse_folder(folder)
    lines = files_lines(folder)
    report: Json = {"passed": False, "folder": str(folder), "lines": lines}
    if not all(check["passed"] for check in lines):
        return report  # a changed file is never run
    model = load(folder, non_finite="pass")
    acts = (folder / POLICY).is_file()
    more, times = (policy_self_test.try_policy if acts else try_simulator)(model, folder, calls)
    lines += more
    if bound_ms is not None:
        p99 = times["act" if acts else "rollout"]["p99"]
        lines.append(line("latency", p99 <= bound_ms, f"p99 {p99:.3f} ms", f"{bound_ms} ms"))
    return report | {
        "passed": all(check["passed"] for check in lines),
        "task": model.interface.task,
        "latency_ms": times,
        "onnxruntime": _version(),
        "machine": platform.platform(),
    }


def try_simulator(simulator: Simulator, folder: Path, calls: int) -> tuple[list[Line], Latencies]:
    """Return the results of the checks, and the latency of a rollout and of a step, ms.

    Args:
        simulator: model of the folder.
        folder: bundle with `cases.npz`.
        calls: calls in each block of the latency measurement.

    Raises:
        CorruptArtifact: The stored cases are missing or invalid.
    """
    cases = read_cases(folder)
    return parity(simulator, cases), latency(simulator, cases, calls)


def _version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)


def files_lines(folder: Path) -> list[Line]:
    """Compare every file with its sha256, and each ONNX file with io.yaml.

    Raises:
        BadInput: The folder holds no model, or an ONNX file is unsafe.
        CorruptArtifact: `sha256sums` is invalid.
    """
    if not (folder / SUMS).is_file() and not any(folder.glob("*.onnx")):
        raise BadInput(folder, "holds no model", expected=f"a folder with {ROLLOUT} or {POLICY}")
    lines = [hashes(folder)]
    # A changed file is not even parsed.
    if not lines[0]["passed"]:
        return lines
    models = sorted(folder.glob("*.onnx"))
    for path in models:
        refuse_model(path, path.read_bytes())
    io = folder / IO
    wrong = [] if io.is_file() else [f"no {IO}"]
    if io.is_file():
        document = io.read_bytes()
        faults = {path.name: interface_fault(path.read_bytes(), document) for path in models}
        wrong = [f"{name} {fault}" for name, fault in faults.items() if fault]
    message = "; ".join(wrong) or f"{len(models)} files"
    return [*lines, line("interface", not wrong, message, f"metadata as in {IO}")]


def hashes(folder: Path) -> Line:
    """Compare every file with its sha256; a file that is not listed fails as well.

    Raises:
        CorruptArtifact: `sha256sums` is empty or invalid.
    """
    expected = "all files as in sha256sums, and no other"
    if not (folder / SUMS).is_file():
        return line("hashes", False, f"no {SUMS}", expected)
    sums = read_sums(folder)
    there = {path.name for path in folder.iterdir()}
    wrong = [f"{name} is not listed" for name in unlisted(folder, sums)]
    for name, sha in sorted(sums.items()):
        # A name that leads out of the folder is not in `there`, so nothing outside is opened.
        if name not in there or not (folder / name).is_file():
            wrong.append(f"{name} is missing")
        elif hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha:
            wrong.append(f"{name} has changed")
    message = "; ".join(wrong) if wrong else f"{len(sums)} files"
    return line("hashes", not wrong, message, expected)


def read_cases(folder: Path) -> Arrays:
    """Return the stored cases: inputs, expected states (N, T, S) and allowed differences.

    The inputs are `states` (N, H, S), `past_actions` (N, H-1, A) and `actions` (N, T, A), all in
    task units. The differences (N, T, S) are in the units of the states.

    Raises:
        CorruptArtifact: The file is missing or invalid.
    """
    names = (*INPUTS, "next_states", "allowed")
    return policy_self_test.read_cases(folder / CASES, names, np.float32)


def parity(simulator: Simulator, cases: Arrays) -> list[Line]:
    """Compare states (N, T, S) of both ONNX files with those of the trained model.

    Rollouts are computed in one batch, then one case at a time.
    """
    inputs = [cases[name] for name in INPUTS]
    batched = simulator.rollout(*inputs)
    alone = [simulator.rollout(*(part[[n]] for part in inputs)) for n in range(len(batched))]
    stepped = _stepped(simulator, *inputs)
    return [
        _compared("rollout parity", batched, simulator, cases),
        _compared("rollout parity, batch 1", np.concatenate(alone), simulator, cases),
        _compared("step parity", stepped, simulator, cases),
    ]


def _stepped(
    simulator: Simulator, states: Array, past: Array, actions: Array
) -> NDArray[np.float32]:
    carry = simulator.warm_up(states, past)
    states_after = list[Array]()
    state = simulator.estimate(states)[:, -1]
    for k in range(min(STEPS, actions.shape[1])):
        state, *carry = simulator.step(state, actions[:, k], *carry)
        states_after.append(state)
    return np.stack(states_after, axis=1)


def _compared(name: str, predicted: Array, simulator: Simulator, cases: Arrays) -> Line:
    """Compare (N, K, S) with the first K steps of the cases; any NaN fails."""
    steps = predicted.shape[1]
    angle = simulator.interface.is_angle
    off = np.abs(wrapped(predicted - cases["next_states"][:, :steps], angle))
    return policy_self_test.compared(name, off, cases["allowed"][:, :steps])


def latency(simulator: Simulator, cases: Arrays, calls: int) -> Latencies:
    """Return the latency of a rollout over the horizon of the cases, and of a step; batch 1, ms."""
    inputs = [cases[name][:1] for name in INPUTS]
    carry = simulator.warm_up(*inputs[:2])
    state = inputs[0][:, -1]
    action = inputs[2][:, 0]
    return {
        "rollout": timed(lambda: simulator.rollout(*inputs), calls),
        "step": timed(lambda: simulator.step(state, action, *carry), calls),
    }
