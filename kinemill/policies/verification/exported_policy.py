"""Checks of the exported file of a policy that need no trained network and no environment.

Symbols: N rows, T steps, A actions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx

from kinemill.errors import BadInput
from kinemill.export.policy_cases import allowed_of
from kinemill.policies.verification.action_checks import check_contract
from kinemill.policies.verification.episode_inputs import make_probes
from kinemill.runtime import Policy, PolicyInterface, load
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.policy_layout import MASK, OBSERVATION, SEED
from kinemill.runtime.policy_self_test import parity, play, read_cases
from kinemill.runtime.self_test import CASES
from kinemill.verify.checklist import Gate, gate, try_check
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
