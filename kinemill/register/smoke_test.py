"""Having a process of its own load a bundle and answer, as a robot's does."""

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


def ask(code: str, folder: Path, given: Mapping[str, Any], patience: float) -> tuple[Any, str]:
    """Have a fresh process run code on a bundle and arrays, and return what it answered.

    Args:
        code: Python that is given the folder, a file with arrays, and where its array goes.
        folder: of the bundle.
        given: arrays by name.
        patience: s that it may take.

    Returns:
        The array and nothing; or None, and why there is none.
    """
    with tempfile.TemporaryDirectory(prefix="kinemill-serve-") as scratch:
        asked, answered = Path(scratch) / "asked.npz", Path(scratch) / "answered.npy"
        np.savez(asked, allow_pickle=False, **given)
        done = run_python(["-c", code, str(folder), str(asked), str(answered)], patience)
        if done is None:
            return None, f"gave no answer within {patience:g} s"
        if done.returncode or not answered.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return None, f"ended with code {done.returncode}: {last}"
        return np.load(answered, allow_pickle=False), ""


def serve_policy(folder: Path, patience: float) -> tuple[bool, str]:
    """Have a fresh process load the policy in `folder` and act for some steps.

    It answers well if every number is finite and the one that this process gets.
    """
    from kinemill.export.policy_cases import drawn  # which imports torch

    policy = load(folder / POLICY)
    given = drawn(policy.interface, cases=2)
    steps = {name: part[0] for name, part in given.items()}
    found, told = ask(_ACT, folder, steps, patience)
    if found is None:
        return False, told
    policy.reset(seed=0)
    acts = [policy.act({k: part[n] for k, part in steps.items()}) for n in range(len(found))]
    expected = np.array(acts, dtype=float).reshape(len(found), -1)
    if not np.isfinite(found).all():
        return False, "answers with what is not finite"
    allowed = 1e-5 * max(1.0, float(np.abs(expected).max()))
    if found.shape != expected.shape or not float(np.abs(found - expected).max()) <= allowed:
        return False, "answers otherwise than in this process"
    return True, f"acted for {len(found)} steps"
