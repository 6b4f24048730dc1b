"""How a policy behaves whatever it has learned: within limits, allowed, the same again, refusing.

Symbols: N rows, T steps, A actions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.export.policy_cases import play
from kinemill.runtime import Policy
from kinemill.runtime.policy_layout import MASK, OBSERVATION
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.contract_checks import Refusal, refused
from kinemill.verify.policies.test_inputs import Probe, never


def manners(policy: Policy, refusing: Policy, probes: Sequence[Probe]) -> list[Gate]:
    """Try a policy on probes, most of it on the first.

    Args:
        policy: loaded with `non_finite="pass"`.
        refusing: the same, loaded so that it refuses all it can.
        probes: of at least two rows each.
    """
    acted = {probe.name: play(policy, probe.inputs) for probe in probes}
    within = [f"{name}: {text}" for name, part in acted.items() for text in beyond(policy, part)]
    wanted = "each action within its limits, each choice one that there is"
    found = [gate("limits of actions", within, wanted), *out_of_range(policy)]
    if policy.interface.layout.mask:
        text = [line for probe in probes for line in forbidden(policy, probe, acted[probe.name])]
        found.append(gate("forbidden choices", text, "none is ever chosen"))
    first = probes[0]
    again = play(policy, first.inputs)
    same = bool(np.array_equal(again, acted[first.name], equal_nan=True))
    text = "the same bits" if same else "other actions the second time"
    found.append(Gate("repeatable", same, text, "the same actions for the same episode"))
    found.append(_reset(policy, first))
    nonsense = [one.text for one in refusals(refusing, first) if not one.refused]
    wanted = "a clear error for NaN, text, other shapes, and what is beyond limits"
    return [*found, gate("nonsense is refused", nonsense, wanted)]


def beyond(policy: Policy, actions: NDArray[np.float32]) -> list[str]:
    """Say which actions (N, T, A) are beyond their limits, or no choice; NaN is, too."""
    found: list[str] = []
    for place, name in enumerate(policy.actions):
        values, choices = actions[..., place], policy.interface.choices[place]
        low, high = (np.float32(end) for end in policy.limits.get(name, (-np.inf, np.inf)))
        least, most = float(values.min()), float(values.max())
        if not (low <= least and most <= high):
            found.append(f"{name} is {least:.6g} to {most:.6g}, not {low:g} to {high:g}")
        elif choices and not bool((values == np.rint(values)).all()):
            found.append(f"{name} is no whole number")
    return found


def forbidden(policy: Policy, probe: Probe, actions: NDArray[np.float32]) -> list[str]:
    """Say which choices (N, T, A) were made although a mask forbids them."""
    found, first = list[str](), 0
    for place, (name, count) in enumerate(
        zip(policy.actions, policy.interface.choices, strict=True)
    ):
        mask = probe.inputs[MASK][..., first : first + count]
        first += count
        if count:
            chosen = np.clip(np.nan_to_num(actions[..., place]), 0, count - 1).astype(np.int64)
            allowed = np.take_along_axis(mask, chosen[..., None], axis=-1)
            wrong = int((allowed == 0.0).sum())
            found += [f"{probe.name}: {name} {wrong} times"] if wrong else []
    return found


def out_of_range(policy: Policy) -> list[Gate]:
    """Ask what comes of observations that no sensor says: finite actions within their limits."""
    probe = never(policy.interface)
    if probe is None:
        return []
    acted = play(policy, probe.inputs)
    text = beyond(policy, acted)
    if not np.isfinite(acted).all():
        text = ["actions are not finite", *text]
    wanted = "finite actions within limits, 1e6 times beyond what is ever observed"
    return [gate("observations out of range", text, wanted)]


def _reset(policy: Policy, probe: Probe) -> Gate:
    """Ask whether an episode begins anew after a reset, whatever came before it."""
    one = {name: part[0, 0] for name, part in probe.inputs.items()}
    policy.reset(seed=3)
    first = policy.act(one)
    for _ in range(3):
        policy.act(one)
    policy.reset(seed=3)
    same = bool(np.array_equal(first, policy.act(one)))
    text = "the same" if same else "another action"
    return Gate("reset", same, text, "the action with which an episode began, after a reset")


def refusals(policy: Policy, probe: Probe) -> list[Refusal]:
    """Hand in what makes no sense, one thing at a time."""
    inputs = probe.first(2).start()
    carry = policy.initial_carry(2)
    tried: dict[str, Callable[[], Any]] = {
        "nothing": lambda: policy.act({}),
        "text": lambda: policy.act("straight on"),
        "an empty batch": lambda: policy.step({k: v[:0] for k, v in inputs.items()}, carry),
        "a carry too many": lambda: policy.step(inputs, (*carry, np.zeros((2, 1), np.float32))),
    }
    for name, part in inputs.items():
        wide = np.concatenate([part, part[:, :1]], axis=1)
        changed = {**inputs, name: wide}
        tried[f"{name} that is too wide"] = lambda changed=changed: policy.step(changed, carry)
    numbers = inputs.get(OBSERVATION)
    if numbers is not None:
        nan = numbers.copy()
        nan[0, 0] = np.nan
        tried["NaN"] = lambda: policy.step({**inputs, OBSERVATION: nan}, carry)
        wild = _beyond(policy, numbers)
        if wild is not None:
            tried["what is beyond a limit"] = lambda: policy.step(
                {**inputs, OBSERVATION: wild}, carry
            )
    for name in policy.interface.layout.images:
        scaled = {**inputs, name: inputs[name] / np.float32(255.0)}
        tried[f"{name} from 0 to 1"] = lambda scaled=scaled: policy.step(scaled, carry)
    return [refused(name, call) for name, call in tried.items()]


def _beyond(policy: Policy, numbers: NDArray[np.float32]) -> NDArray[np.float32] | None:
    for place, name in enumerate(policy.observation):
        if name in policy.limits:
            low, high = policy.limits[name]
            wild = numbers.copy()
            wild[0, place] = high + max(high - low, 1.0)
            return wild
    return None
