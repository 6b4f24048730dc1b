"""Smoke test: a fresh process loads a bundle and predicts, as a robot would."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.process import run_python
from kinemill.runtime import load
from kinemill.runtime.integrity import POLICY

_ACT = """
import sys
import numpy as np
from kinemill.runtime import load
folder, asked, answered = sys.argv[1:]
with np.load(asked) as given:
    steps = {name: given[name] for name in given.files}
policy = load(folder)
policy.reset(seed=0)
length = len(next(iter(steps.values())))
acts = [policy.act({name: part[k] for name, part in steps.items()}) for k in range(length)]
np.save(answered, np.array(acts, dtype=float).reshape(length, -1))
"""


def ask(code: str, folder: Path, given: Mapping[str, Any], timeout: float) -> tuple[Any, str]:
    """Run code on a bundle and arrays in a fresh process, and return the result.

    Args:
        code: Python; its arguments are the folder, the input file and the output file.
        folder: of the bundle.
        given: arrays by name.
        timeout: s.

    Returns:
        The array and an empty text; or None and the reason.
    """
    with tempfile.TemporaryDirectory(prefix="kinemill-serve-") as scratch:
        asked, answered = Path(scratch) / "asked.npz", Path(scratch) / "answered.npy"
        np.savez(asked, allow_pickle=False, **given)
        done = run_python(["-c", code, str(folder), str(asked), str(answered)], timeout)
        if done is None:
            return None, f"gave no answer within {timeout:g} s"
        if done.returncode or not answered.is_file():
            last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            return None, f"ended with code {done.returncode}: {last}"
        return np.load(answered, allow_pickle=False), ""


def serve_policy(folder: Path, timeout: float) -> tuple[bool, str]:
    """Load the policy in `folder` in a fresh process and run it for some steps.

    The test passes if every number is finite and equal to the result in this process.
    """
    from kinemill.export.policy_cases import drawn  # which imports torch

    policy = load(folder / POLICY)
    given = drawn(policy.interface, cases=2)
    steps = {name: part[0] for name, part in given.items()}
    found, text = ask(_ACT, folder, steps, timeout)
    if found is None:
        return False, text
    policy.reset(seed=0)
    acts = [policy.act({k: part[n] for k, part in steps.items()}) for n in range(len(found))]
    expected = np.array(acts, dtype=float).reshape(len(found), -1)
    if not np.isfinite(found).all():
        return False, "returns non-finite values"
    allowed = 1e-5 * max(1.0, float(np.abs(expected).max()))
    if found.shape != expected.shape or not float(np.abs(found - expected).max()) <= allowed:
        return False, "returns other values than in this process"
    return True, f"acted for {len(found)} steps"
