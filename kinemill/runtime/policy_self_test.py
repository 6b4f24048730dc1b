"""Self-test of a policy where it is deployed: stored parity cases, latency.

Symbols: N cases, T steps, A actions.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import CorruptArtifact
from kinemill.runtime.policy import Policy
from kinemill.runtime.timing import Latencies, Line, line, timed

Arrays = dict[str, NDArray[Any]]
_PREFIX = "input."


def read_cases(
    path: Path, names: Sequence[str] = ("action", "allowed"), dtype: type | None = None
) -> Arrays:
    """Return the stored cases of a policy: `input.*` (N, T, ...), `action`, `allowed` (N, T, A).

    Args:
        path: the file.
        names: required arrays; the last two are the results and their tolerance.
        dtype: type of all arrays; None: as stored.

    Raises:
        CorruptArtifact: The file is missing or invalid.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            cases = {name: np.asarray(stored[name], dtype) for name in stored.files}
        *_, results, allowed = (cases[name] for name in names)
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        message = f"cannot be read ({error})"
        raise CorruptArtifact(path, message, expected="parity cases") from error
    is_empty = any(not len(part) for part in cases.values())
    if is_empty or results.shape != allowed.shape or not np.isfinite(allowed).all():
        raise CorruptArtifact(path, "holds no case", expected="parity cases")
    return cases


def parity(policy: Policy, cases: Arrays) -> list[Line]:
    """Compare actions (N, T, A) of the file with those of the trained policy.

    All cases are computed in one batch, then one case at a time.
    """
    batched = play(policy, inputs_of(cases))
    alone = [play(policy, inputs_of(cases, slice(n, n + 1))) for n in range(len(batched))]
    runs = {"policy parity": batched, "policy parity, batch 1": np.concatenate(alone)}
    return [
        compared(name, np.abs(actions.astype(np.float64) - cases["action"]), cases["allowed"])
        for name, actions in runs.items()
    ]


def inputs_of(cases: Arrays, rows: slice = slice(None)) -> Arrays:
    """Return the inputs (N, T, ...) of stored cases by name."""
    named = ((name, part) for name, part in cases.items() if name.startswith(_PREFIX))
    return {name.removeprefix(_PREFIX): part[rows] for name, part in named}


def play(policy: Policy, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Return the actions (N, T, A) of a policy for inputs (N, T, ...), with its carry fed back."""
    rows, steps = next(iter(inputs.values())).shape[:2]
    carry = policy.initial_carry(rows)
    actions = list[NDArray[np.float32]]()
    for step in range(steps):
        now = {name: np.ascontiguousarray(part[:, step]) for name, part in inputs.items()}
        action, carry = policy.step(now, carry)
        actions.append(action)
    return np.stack(actions, axis=1)


def compared(name: str, off: NDArray[np.floating], allowed: NDArray[np.floating]) -> Line:
    """Compare differences (N, T, C) with the tolerance of each number; any NaN fails."""
    passed = bool((off <= allowed).all())  # false for NaN
    # Discrete actions have a tolerance of 0: any difference is then a huge share.
    share = np.where(off > 0.0, off / np.where(allowed > 0.0, allowed, np.finfo(float).tiny), 0.0)
    worst = float(np.max(np.where(np.isfinite(off), share, np.inf), initial=0.0))
    message = f"{worst:.0%} of the tolerance" if worst < 1e6 else "other values, or none"
    message = f"{message}, {len(off)} cases of {off.shape[1]} steps"
    return line(name, passed, message, "at most the rounding error")


def try_policy(policy: Policy, folder: Path, calls: int) -> tuple[list[Line], Latencies]:
    """Return the results of the parity checks, and the latency of `act`, ms.

    Args:
        policy: policy of the folder.
        folder: bundle with `cases.npz`.
        calls: calls in each block of the latency measurement.

    Raises:
        CorruptArtifact: `cases.npz` is missing or invalid.
    """
    cases = read_cases(folder / "cases.npz")
    lines = parity(policy, cases)
    return lines, {"act": timed(control_step(policy, cases), calls)}


def control_step(policy: Policy, cases: Arrays) -> Callable[[], object]:
    """Return a function that computes one action (A,) of the first case, as a control loop does."""
    observation = {
        name: np.ascontiguousarray(part[0, 0]) for name, part in inputs_of(cases).items()
    }
    policy.reset()
    return lambda: policy.act(observation)
