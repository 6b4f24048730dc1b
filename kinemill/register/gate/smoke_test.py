"""Smoke test: a new process loads a bundle and predicts, as a robot would."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.process import run_python
from kinemill.runtime import load
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.window_metrics import Windows

TIMEOUT = 60.0  # s for a model to load and predict
_TOLERANCE = 1e-5  # relative to the largest output; the same arithmetic in two processes
_ROLL_OUT = """
import sys
import numpy as np
from kinemill.runtime import load
folder, inputs_file, output_file = sys.argv[1:]
with np.load(inputs_file) as inputs:
    feed = [inputs[name] for name in ("states", "past_actions", "actions")]
np.save(output_file, load(folder).rollout(*feed))
"""
_ACT = """
import sys
import numpy as np
from kinemill.runtime import load
folder, inputs_file, output_file = sys.argv[1:]
with np.load(inputs_file) as inputs:
    steps = {name: inputs[name] for name in inputs.files}
policy = load(folder)
policy.reset(seed=0)
length = len(next(iter(steps.values())))
acts = [policy.act({name: part[k] for name, part in steps.items()}) for k in range(length)]
np.save(output_file, np.array(acts, dtype=float).reshape(length, -1))
"""


def run_bundle(
    code: str, folder: Path, arrays: Mapping[str, NDArray[np.generic]]
) -> tuple[Any, str]:
    """Run code on a bundle and arrays (...) in a new process, and return the result.

    The arguments of the code are the folder, the input file and the output file. It returns the
    array and an empty text; or None and the reason.
    """
    with tempfile.TemporaryDirectory(prefix="kinemill-serve-") as scratch:
        inputs_file = Path(scratch) / "inputs.npz"
        output_file = Path(scratch) / "output.npy"
        np.savez(inputs_file, allow_pickle=False, **arrays)
        done = run_python(["-c", code, str(folder), str(inputs_file), str(output_file)], TIMEOUT)
        if done is None:
            return None, f"did not respond within {TIMEOUT:g} s"
        if done.returncode or not output_file.is_file():
            last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            return None, f"ended with code {done.returncode}: {last}"
        return np.load(output_file, allow_pickle=False), ""


def serve_policy(folder: Path) -> tuple[bool, str]:
    """Load the policy in `folder` in a new process and run it for some steps.

    The test passes if every number is finite and equal to the result in this process.
    """
    from kinemill.export.policy_cases import random_inputs  # which imports torch

    policy = load(folder / POLICY)
    inputs = random_inputs(policy.interface, cases=2)
    steps = {name: part[0] for name, part in inputs.items()}
    actions, text = run_bundle(_ACT, folder, steps)
    if actions is None:
        return False, text
    policy.reset(seed=0)
    acts = [policy.act({k: part[n] for k, part in steps.items()}) for n in range(len(actions))]
    expected = np.array(acts, dtype=float).reshape(len(actions), -1)
    fault = _fault(actions, expected)
    return not fault, fault or f"acted for {len(actions)} steps"


def serve(folder: Path, windows: Windows) -> tuple[bool, str]:
    """Load the bundle in `folder` in a new process and roll it out over windows (W, T, S).

    The test passes if every number is finite and equal to the result in this process.
    """
    feed = windows.states, windows.past_actions, windows.actions
    names = ("states", "past_actions", "actions")
    prediction, text = run_bundle(_ROLL_OUT, folder, dict(zip(names, feed, strict=True)))
    if prediction is None:
        return False, text
    expected = load(folder, non_finite="pass").rollout(*feed)
    fault = _fault(prediction, expected)
    return not fault, fault or f"predicted {prediction.shape[1]} steps"


def _fault(values: NDArray[np.floating], expected: NDArray[np.floating]) -> str:
    """Return how values of another process differ from those of this one; empty if they do not."""
    if not np.isfinite(values).all():
        return "returns non-finite values"
    allowed = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if values.shape != expected.shape or not float(np.abs(values - expected).max()) <= allowed:
        return "returns other values than in this process"
    return ""
