"""The file against the policy in torch: any batch, other threads, many steps; and against NaN.

Every comparison reads `found <= allowed and finite`, so that NaN fails it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.export.policy_cases import Cases, make_cases, play
from kinemill.runtime import Policy
from kinemill.runtime.policy_layout import MASK, OBSERVATION
from kinemill.verify.nan_propagation import Poison
from kinemill.verify.policies.subject import Subject
from kinemill.verify.policies.test_inputs import Probe

BATCHES = (1, 7, 256)


@dataclass(frozen=True)
class Parity:
    """One comparison, at the step and action where it is worst.

    Attributes:
        probe: the inputs it was made on.
        batch: rows at once.
        steps: in a row, with what is carried.
        threads: of ONNX Runtime.
        action: the worst one.
        found: largest difference, in its unit.
        allowed: what rounding comes to there; 0 for a choice.
        passed: whether all numbers are finite and as near as allowed.
        trouble: what kept it from being made.
    """

    probe: str
    batch: int
    steps: int
    threads: int
    action: str
    found: float
    allowed: float
    passed: bool
    trouble: str = ""


def compare(subject: Subject, probes: Sequence[Probe]) -> list[Parity]:
    """Compare on all probes, for any batch; on the first by two threads as well."""
    found: list[Parity] = []
    for place, probe in enumerate(probes):
        cases = make_cases(subject.module, subject.trained, probe.inputs)
        whole = [batch for batch in BATCHES if batch < probe.rows] + [probe.rows]
        found += [_compared(subject.policy, cases, probe, batch, 1) for batch in whole]
        if place == 0:
            found.append(_compared(subject.threaded, cases, probe, probe.rows, 2))
    return found


def _compared(policy: Policy, cases: Cases, probe: Probe, batch: int, threads: int) -> Parity:
    """Compare the first rows of a probe, all of them in one batch."""
    wanted, allowed = cases.action[:batch], cases.allowed[:batch]
    steps, actions = cases.steps, policy.actions
    try:
        found = play(policy, probe.first(batch).inputs)
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return Parity(probe.name, batch, steps, threads, "", np.inf, 0.0, False, text)
    off = np.abs(found.astype(np.float64) - wanted)
    passed = bool((off <= allowed).all() and np.isfinite(found).all())
    excess = np.where(np.isfinite(off), off - allowed, np.inf)
    worst = np.unravel_index(int(excess.argmax()), off.shape)
    return Parity(
        *(probe.name, batch, steps, threads, actions[int(worst[-1])]),
        *(float(off[worst]), float(allowed[worst]), passed),
    )


def poison(policy: Policy, probe: Probe) -> list[Poison]:
    """Put a NaN at the start, in the middle and at the end of each tensor of numbers."""
    inputs = {name: part.copy() for name, part in probe.first(7).start().items()}
    rows = len(next(iter(inputs.values())))
    _, carry = policy.step(inputs, policy.initial_carry(rows))
    carried = [part.copy() for part in carry]
    tensors = {name: inputs[name] for name in (OBSERVATION, MASK) if name in inputs}
    names = [item.name for item in policy.interface.carry]
    tensors |= dict(zip(names, carried, strict=True))
    return [
        _poisoned(policy, inputs, tuple(carried), (name, place))
        for name, part in tensors.items()
        for place in sorted({0, part[0].size // 2, part[0].size - 1})
    ]


def _poisoned(
    policy: Policy,
    inputs: dict[str, NDArray[np.float32]],
    carry: tuple[NDArray[np.float32], ...],
    where: tuple[str, int],
) -> Poison:
    name, place = where
    parts = dict(zip((item.name for item in policy.interface.carry), carry, strict=True))
    tensor = inputs[name] if name in inputs else parts[name]
    row = len(tensor) // 2
    clean = tensor[row].flat[place]
    tensor[row].flat[place] = np.nan
    action, after = policy.step(inputs, carry)
    tensor[row].flat[place] = clean
    outputs = (action, *after)
    spread = all(bool(np.isnan(out[row]).all()) for out in outputs)
    contained = all(bool(np.isfinite(np.delete(out, row, 0)).all()) for out in outputs)
    return Poison("policy", name, spread, contained)
