"""Judge the file of a policy: every gate, what it brings, how far off it is, every time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import onnx

from kinemill.errors import BadInput, Blocked
from kinemill.runtime import Policy, PolicyInterface
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.policy_layout import SEED
from kinemill.store import Json
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.cold_start import cold_start
from kinemill.verify.files import read_model
from kinemill.verify.latency import (
    THROUGHPUT_BATCHES,
    THROUGHPUT_SECONDS,
    Latency,
    timed,
)
from kinemill.verify.nan_propagation import Poison
from kinemill.verify.policies.contract_checks import manners
from kinemill.verify.policies.held_out import HeldOut, held_out
from kinemill.verify.policies.parity import Parity, compare, poison
from kinemill.verify.policies.subject import Subject
from kinemill.verify.policies.test_inputs import Probe, make_probes, met_in_episodes, met_in_logs
from kinemill.verify.policies.trials import Looped, looped
from kinemill.verify.structure import Structure, sound, structure


@dataclass(frozen=True)
class Tried:
    """What was tried, and what came of it.

    Attributes:
        gates: the lines that decide.
        parity: the comparisons with torch.
        poisoned: what NaN did.
        structure: what the file is made of.
        looped: what came of trials in the environment, if there is one.
        held_out: how far actions are off those of logs, if there are any.
        probes: what was tried on.
    """

    gates: list[Gate]
    parity: list[Parity]
    poisoned: list[Poison]
    structure: Structure
    looped: Looped | None
    held_out: HeldOut | None
    probes: list[Probe]


@dataclass(frozen=True)
class Verdict:
    """Everything that was found out about one exported policy.

    Attributes:
        subject: what was judged.
        tried: what came of trying it.
        gates: the lines that decide, those about time among them.
        latency: of `act` and of a bare `step`.
        measured: throughput, cold start: parts of the document.
    """

    subject: Subject
    tried: Tried
    gates: list[Gate]
    latency: dict[str, Latency]
    measured: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether all lines passed."""
        return all(line.passed for line in self.gates)

    @property
    def looped(self) -> Looped | None:
        """What came of trials in the environment, if there is one."""
        return self.tried.looped

    @property
    def held_out(self) -> HeldOut | None:
        """How far actions are off those of logs, if there are any."""
        return self.tried.held_out


def judge(subject: Subject) -> Verdict:
    """Try the file in every way there is, and measure it.

    Raises:
        Blocked: it cannot be run as promised, so there is nothing to measure.
    """
    tried = try_out(subject)
    gates, bound = list(tried.gates), subject.task.verify.latency_p99_ms
    times = latency(subject.policy, tried.probes[0], whole=bound is not None)
    if bound is not None:
        found = f"p99 {times['act'].p99:.3f} ms, the best of {times['act'].blocks} blocks"
        gates.append(Gate("latency", times["act"].p99 <= bound, found, f"at most {bound} ms"))
    measured = {
        "throughput": throughput(subject.policy, tried.probes),
        "cold_start": cold_start(subject.folder),
    }
    return Verdict(subject, tried, gates, times, measured)


def try_out(subject: Subject) -> Tried:
    """Try the file.

    Raises:
        Blocked: it cannot be run as promised, so there is nothing to measure.
    """
    path = subject.folder / POLICY
    model = read_model(path)
    gates = [*examine(path, model), _metadata(subject)]
    probes = make_probes(subject.policy.interface)
    parity = compare(subject, probes)
    _runnable(subject.task.name, gates, parity)
    loop = looped(subject)
    if met := _met(subject, loop):
        probes, parity = [met, *probes], [*compare(subject, [met]), *parity]
    gates += [parity_gate(parity), *(loop.gates() if loop else [])]
    poisoned = poison(subject.policy, probes[0])
    gates += [contained(poisoned), *manners(subject.policy, subject.refusing, probes)]
    held = None
    if subject.held_out is not None:
        learn: Any = subject.task.learn
        history = getattr(learn, "history", None) or getattr(learn, "seq_len", 1)
        held = held_out(subject.policy, subject.held_out, history)
        known = bool(np.isfinite(held.errors["model"].by_step).all())
        gates.append(gate("finite errors", [] if known else ["not finite"], "finite everywhere"))
    return Tried(gates, parity, poisoned, structure(path, model), loop, held, probes)


def examine(path: Any, model: onnx.ModelProto) -> list[Gate]:
    """Ask the file: is it valid, whole, of plain operators, and what its metadata promise?"""
    gates = sound(path, model)
    properties = {item.key: item.value for item in model.metadata_props}
    try:
        interface = PolicyInterface.from_metadata(path, properties)
    except BadInput as error:
        return [*gates, Gate(f"{POLICY} metadata", False, str(error), "kinemill metadata")]
    carry = [item.name for item in interface.carry]
    inputs = [item.name for item in model.graph.input]
    outputs = [item.name for item in model.graph.output]
    wanted = [*interface.shapes(), *carry], ["action", *(f"next_{name}" for name in carry)]
    text = [f"inputs are {', '.join(inputs)}"] if inputs != wanted[0] else []
    text += [f"outputs are {', '.join(outputs)}"] if outputs != wanted[1] else []
    for item in model.graph.input:
        dims = item.type.tensor_type.shape.dim
        text += [f"{item.name} is of one batch alone"] if not dims[0].dim_param else []
    return [*gates, gate(f"{POLICY} interface", text, "the tensors that the metadata name")]


def _metadata(subject: Subject) -> Gate:
    """Compare what the file says with what the trained policy says; versions may differ."""
    found, trained = subject.policy.interface, subject.trained
    text = [
        f"differs in {item.name}"
        for item in fields(trained)
        if item.name != "versions" and getattr(found, item.name) != getattr(trained, item.name)
    ]
    return gate("metadata", text, "as in the trained policy")


def _met(subject: Subject, loop: Looped | None) -> Probe | None:
    """Return what was really observed: in the environment, else in held-out logs."""
    if loop is not None:
        return met_in_episodes(loop.model.episodes, subject.policy.interface)
    if subject.held_out is not None:
        return met_in_logs(subject.held_out, subject.policy.interface)
    return None


def parity_gate(parity: list[Parity]) -> Gate:
    """Return the line for all comparisons with torch, at the worst."""
    wrong = [row for row in parity if not row.passed]
    if trouble := next((row for row in wrong if row.trouble), None):
        text = f"batch of {trouble.batch}, {trouble.probe}: {trouble.trouble}"
        return Gate("policy parity", False, text, "a policy that runs")
    worst = max(wrong or parity, key=lambda row: row.found - row.allowed)
    text = f"{worst.found:.2e} in {worst.action} ({worst.probe}, {len(parity)} comparisons)"
    return Gate("policy parity", not wrong, text, f"at most {worst.allowed:.2e}")


def contained(poisoned: list[Poison]) -> Gate:
    """Return the line for NaN."""
    text = sorted({f"not from {row.tensor}" for row in poisoned if not row.passed})
    wanted = "NaN in its row, in no other"
    return gate("NaN stays in its row", text, wanted, f"{len(poisoned)} of them")


def _runnable(task: str, gates: list[Gate], parity: list[Parity]) -> None:
    """Stop at a file that cannot be run.

    Raises:
        Blocked: naming every line that failed so far.
    """
    if any(row.trouble for row in parity):
        gates = [*gates, parity_gate(parity)]
        failed = [f"{line.name}: {line.found}" for line in gates if not line.passed]
        raise Blocked(
            f"{task}: verification",
            "; ".join(failed),
            expected="a policy that runs for any batch",
            fix="nothing was measured; export the policy again",
        )


def latency(policy: Policy, probe: Probe, *, whole: bool = False) -> dict[str, Latency]:
    """Time `act`, from an observation to an action, and `step` with a batch of one, ms."""
    one = probe.first(1).start()
    seen = {name: part[0] for name, part in one.items() if name != SEED}
    carry = policy.initial_carry(1)
    policy.reset()
    return {
        "act": timed(lambda: policy.act(seen), whole=whole),
        "step": timed(lambda: policy.step(one, carry), whole=False),
    }


def throughput(policy: Policy, probes: list[Probe]) -> list[Json]:
    """Return actions/s over batches."""
    probe, found = max(probes, key=lambda one: one.rows), list[Json]()
    for batch in THROUGHPUT_BATCHES:
        some = probe.first(batch)
        inputs, carry = some.start(), policy.initial_carry(some.rows)
        policy.step(inputs, carry)
        calls, begin = 0, time.perf_counter()
        while (spent := time.perf_counter() - begin) < THROUGHPUT_SECONDS or not calls:
            policy.step(inputs, carry)
            calls += 1
        rate = calls * some.rows / spent
        found.append({"batch": some.rows, "threads": 1, "actions_per_second": rate})
    return found
