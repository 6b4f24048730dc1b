"""Checks of the exported file of a policy that need no trained network and no environment.

Symbols: N rows, T steps, A actions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.export.policy_cases import allowed_of
from kinemill.policies.verification.episode_inputs import make_probes, out_of_range_probe
from kinemill.runtime import Policy, PolicyInterface, load
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.policy_layout import MASK, OBSERVATION, SEED
from kinemill.runtime.policy_self_test import parity, play, read_cases
from kinemill.runtime.self_test import CASES
from kinemill.verify.checklist import Gate, gate, try_check
from kinemill.verify.contract_checks import (
    beyond_limits,
    rejects_invalid_inputs,
    repeatable,
)
from kinemill.verify.files import read_model
from kinemill.verify.latency import Call as TimedCall
from kinemill.verify.nan_propagation import ROWS as NAN_ROWS
from kinemill.verify.nan_propagation import Call
from kinemill.verify.structure import sound
from kinemill.verify.test_inputs import Array, Arrays, Probe

# Multiple of the tolerance of parity with torch. Both outputs are from the same file, but another
# batch size or number of threads changes the order of sums.
NEAR = 10.0


@dataclass(frozen=True)
class ExportedPolicy:
    """The exported file of a policy.

    Attributes:
        folder: folder of `policy.onnx`.
    """

    folder: Path

    @cached_property
    def policy(self) -> Policy:
        """The file, loaded so that NaN inputs are accepted."""
        return load(self.folder / POLICY, non_finite="pass")

    @cached_property
    def threaded(self) -> Policy:
        """The file, loaded with two threads."""
        return load(self.folder / POLICY, threads=2, non_finite="pass")

    @cached_property
    def strict(self) -> Policy:
        """The file, loaded so that every invalid input is rejected."""
        return load(self.folder / POLICY, out_of_limits="raise")

    @property
    def interface(self) -> PolicyInterface:
        """Observations, actions, units and shapes."""
        return self.policy.interface

    def models(self) -> dict[Path, onnx.ModelProto]:
        """Return the ONNX file."""
        path = self.folder / POLICY
        return {path: read_model(path)}

    def check_files(self, models: Mapping[Path, onnx.ModelProto]) -> list[Gate]:
        """Check that the file is valid, complete and consistent with its metadata."""
        ((path, model),) = models.items()
        gates = sound(path, model)
        properties = {item.key: item.value for item in model.metadata_props}
        try:
            interface = PolicyInterface.from_metadata(path, properties)
        except BadInput as error:
            return [*gates, Gate(f"{POLICY} metadata", False, str(error), "kinemill metadata")]
        carry = [item.name for item in interface.carry]
        tensors = {
            "inputs": (model.graph.input, [*interface.shapes(), *carry]),
            "outputs": (model.graph.output, ["action", *(f"next_{name}" for name in carry)]),
        }
        faults: list[str] = []
        for role, (items, expected) in tensors.items():
            names = [item.name for item in items]
            faults += [f"{role} are {', '.join(names)}"] if names != expected else []
        faults += [
            f"{item.name} has a fixed batch size"
            for item in model.graph.input
            if not item.type.tensor_type.shape.dim[0].dim_param
        ]
        return [*gates, gate(f"{POLICY} interface", faults, "the tensors of the metadata")]

    def make_probes(self) -> list[Probe]:
        """Return episodes with random observations, zeros, limits and extremes."""
        return make_probes(self.interface)

    def outputs(self, probe: Probe, threads: int = 1) -> Array:
        """Return the actions for a probe, (N, T, A), in units."""
        return play(self.policy if threads == 1 else self.threaded, probe.inputs)

    def agreement(self, name: str, probe: Probe, actual: Array, expected: Array) -> Gate:
        """Compare actions (N, T, A), in units, up to rounding."""
        del probe
        off = np.abs(actual.astype(np.float64) - expected)
        passed = bool((off <= NEAR * allowed_of(expected, [expected], self.interface)).all())
        text = f"they differ by {float(off.max()):.1e}"
        return Gate(name, passed, text, "equal up to rounding")

    def nan_calls(self, probe: Probe) -> list[Call]:
        """Return the second step of the policy, to test NaN in numbers, mask and carry."""
        policy = self.policy
        inputs = probe.first(NAN_ROWS).start()
        _, carry = policy.step(inputs, policy.initial_carry(NAN_ROWS))
        names = [item.name for item in self.interface.carry]
        tensors: Arrays = {name: inputs[name] for name in (OBSERVATION, MASK) if name in inputs}
        tensors |= dict(zip(names, carry, strict=True))

        def run(changed: Mapping[str, Array]) -> list[Array]:
            observation = {name: changed.get(name, part) for name, part in inputs.items()}
            action, following = policy.step(observation, tuple(changed[name] for name in names))
            return [action, *following]

        return [Call("policy", tensors, run)]

    def check_contract(self, probes: Sequence[Probe]) -> list[Gate]:
        """Check limits, choices, repeatability, reset and invalid inputs."""
        return check_contract(self.policy, self.strict, probes)

    def check_alone(self, probe: Probe) -> list[Gate]:
        """Check the stored parity cases, if there are any."""
        del probe
        if not (self.folder / CASES).is_file():
            return []
        cases = read_cases(self.folder / CASES)
        return try_check(
            "parity", lambda: [Gate(*line.values()) for line in parity(self.policy, cases)]
        )

    def timed_calls(self, probe: Probe) -> dict[str, TimedCall]:
        """Return `act`, from an observation to an action, and `step`, without conversion."""
        policy = self.policy
        inputs = probe.first(1).start()
        observation = {name: part[0] for name, part in inputs.items() if name != SEED}
        carry = policy.initial_carry(1)
        policy.reset()
        return {"act": lambda: policy.act(observation), "step": lambda: policy.step(inputs, carry)}

    def batch_call(self, probe: Probe, threads: int) -> TimedCall:
        """Return one step of a batch."""
        policy = self.policy if threads == 1 else self.threaded
        inputs = probe.start()
        carry = policy.initial_carry(probe.rows)
        return lambda: policy.step(inputs, carry)


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
            invalid_calls(strict, first),
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


def invalid_calls(policy: Policy, probe: Probe) -> dict[str, Callable[[], object]]:
    """Return calls of a policy with one invalid input each, by name."""
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
    return calls
