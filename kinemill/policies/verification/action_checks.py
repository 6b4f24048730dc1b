"""Contract of every exported policy: actions within limits, allowed choices, resets, errors.

Symbols: N rows, T steps, A actions.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kinemill.policies.verification.episode_inputs import out_of_range_probe
from kinemill.runtime import Policy
from kinemill.runtime.policy_layout import MASK, OBSERVATION
from kinemill.runtime.policy_self_test import play
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.contract_checks import (
    Refusal,
    beyond_limits,
    rejects_invalid_inputs,
    repeatable,
    try_invalid,
)
from kinemill.verify.test_inputs import Probe


def check_contract(policy: Policy, strict: Policy, probes: Sequence[Probe]) -> list[Gate]:
    """Check properties that every correct policy has, mostly on the first probe.

    Args:
        policy: loaded with `non_finite="pass"`.
        strict: the same policy, loaded so that it rejects every invalid input.
        probes: test inputs with at least two rows each.
    """
    actions = {probe.name: play(policy, probe.inputs) for probe in probes}
    faults = [f"{name}: {text}" for name, part in actions.items() for text in beyond(policy, part)]
    expected = "each action within its limits, each choice one that exists"
    gates = [gate("limits of actions", faults, expected), *out_of_range(policy)]
    if policy.interface.layout.mask:
        faults = [
            text for probe in probes for text in forbidden(policy, probe, actions[probe.name])
        ]
        gates.append(gate("forbidden choices", faults, "never chosen"))
    first = probes[0]
    return [
        *gates,
        repeatable(lambda: play(policy, first.inputs), "the same actions for the same episode"),
        _reset(policy, first),
        rejects_invalid_inputs(
            refusals(strict, first),
            "a clear error for NaN, text, other shapes, and values outside limits",
        ),
    ]


def beyond(policy: Policy, actions: NDArray[np.float32]) -> list[str]:
    """Return faults of actions (N, T, A), in units: outside limits, NaN, or not a choice."""
    faults: list[str] = []
    for index, name in enumerate(policy.actions):
        values = actions[..., index]
        choices = policy.interface.choices[index]
        low, high = (np.float32(end) for end in policy.limits.get(name, (-np.inf, np.inf)))
        least = float(values.min())
        most = float(values.max())
        if not (low <= least and most <= high):
            faults.append(f"{name} is {least:.6g} to {most:.6g}, not {low:g} to {high:g}")
        elif choices and not bool((values == np.rint(values)).all()):
            faults.append(f"{name} is not a whole number")
    return faults


def forbidden(policy: Policy, probe: Probe, actions: NDArray[np.float32]) -> list[str]:
    """Return faults of choices that the mask (N, T, M) forbids: actions (N, T, A) -> texts."""
    faults = list[str]()
    first = 0
    for index, (name, count) in enumerate(
        zip(policy.actions, policy.interface.choices, strict=True)
    ):
        mask = probe.inputs[MASK][..., first : first + count]
        first += count
        if count:
            choices = np.clip(np.nan_to_num(actions[..., index]), 0, count - 1).astype(np.int64)
            allowed = np.take_along_axis(mask, choices[..., None], axis=-1)
            wrong = int((allowed == 0.0).sum())
            faults += [f"{probe.name}: {name} {wrong} times"] if wrong else []
    return faults


def out_of_range(policy: Policy) -> list[Gate]:
    """Check that impossible observations give finite actions within limits."""
    probe = out_of_range_probe(policy.interface)
    if probe is None:
        return []
    actions = play(policy, probe.inputs)
    faults = beyond(policy, actions)
    if not np.isfinite(actions).all():
        faults = ["actions are not finite", *faults]
    expected = "finite actions within limits for observations of 1e6 times their limits"
    return [gate("observations out of range", faults, expected)]


def _reset(policy: Policy, probe: Probe) -> Gate:
    """Check that the first action after a reset does not depend on earlier steps."""
    observation = {name: part[0, 0] for name, part in probe.inputs.items()}
    policy.reset(seed=3)
    first = policy.act(observation)
    for _ in range(3):
        policy.act(observation)
    policy.reset(seed=3)
    same = bool(np.array_equal(first, policy.act(observation)))
    text = "the same action" if same else "another action"
    return Gate("reset", same, text, "the same first action after every reset")


def refusals(policy: Policy, probe: Probe) -> list[Refusal]:
    """Call a policy with invalid inputs, one at a time."""
    inputs = probe.first(2).start()
    carry = policy.initial_carry(2)
    calls: dict[str, Callable[[], object]] = {
        "nothing": lambda: policy.act({}),
        "text": lambda: policy.act("straight on"),
        "an empty batch": lambda: policy.step({k: v[:0] for k, v in inputs.items()}, carry),
        "a carry too many": lambda: policy.step(inputs, (*carry, np.zeros((2, 1), np.float32))),
    }
    for name, part in inputs.items():
        wide = np.concatenate([part, part[:, :1]], axis=1)
        changed = {**inputs, name: wide}
        calls[f"{name} that is too wide"] = lambda changed=changed: policy.step(changed, carry)
    numbers = inputs.get(OBSERVATION)
    if numbers is not None:
        nan = numbers.copy()
        nan[0, 0] = np.nan
        calls["NaN"] = lambda: policy.step({**inputs, OBSERVATION: nan}, carry)
        extreme = beyond_limits(policy.observation, policy.limits, numbers)
        if extreme is not None:
            calls["values outside a limit"] = lambda: policy.step(
                {**inputs, OBSERVATION: extreme}, carry
            )
    for name in policy.interface.layout.images:
        scaled = {**inputs, name: inputs[name] / np.float32(255.0)}
        calls[f"{name} from 0 to 1"] = lambda scaled=scaled: policy.step(scaled, carry)
    return [try_invalid(name, call) for name, call in calls.items()]
