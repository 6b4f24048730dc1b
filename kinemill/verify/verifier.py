"""The verifier: run every check of an exported model or policy, then measure it."""

from collections.abc import Sequence
from dataclasses import replace

from kinemill.errors import Blocked
from kinemill.verify.check_results import CallLatency, CheckSummary, Parity
from kinemill.verify.checklist import Gate, finite
from kinemill.verify.cold_start import cold_start
from kinemill.verify.document import Verification, VerificationSummary
from kinemill.verify.latency import latency, machine, throughput
from kinemill.verify.nan_propagation import nan_gate, propagate_nan
from kinemill.verify.parity import parity_gates
from kinemill.verify.structure import structure
from kinemill.verify.subject import Subject


def verify_files(subject: Subject) -> Verification:
    """Run every check of a model or policy, and measure it.

    Raises:
        Blocked: The files cannot run, so nothing can be measured.
    """
    checks = run_checks(subject)
    exported = subject.exported
    limit = subject.settings.latency_p99_ms
    gates = [*checks.gates, *subject.measure()]
    times = latency(exported.timed_calls(subject.probes[0]), whole=limit is not None)
    name, first = next(iter(times.items()))
    if limit is not None:
        value = f"p99 {first.p99:.3f} ms, the best of {first.blocks} blocks of {first.calls} calls"
        gates.append(Gate("latency", first.p99 <= limit, value, f"p99 at most {limit} ms a {name}"))
    probe, steps, threads = subject.throughput_of()
    rates = throughput(exported.batch_call, probe, steps, threads)
    started = cold_start(exported.folder)
    passed = all(gate.passed for gate in gates)
    parity = {f"{row.call} parity" for row in checks.parity} | {"closed loop"}
    lines = {gate.name: gate.passed for gate in gates}
    return replace(
        subject.document(),
        task=exported.interface.task,
        passed=passed,
        summary=CheckSummary(
            passed=passed,
            parity=all(lines[name] for name in parity if name in lines),
            precision=lines.get("precision"),
            latency_ms=CallLatency(first.p50, first.p99),
        ),
        gates=gates,
        parity=checks.parity,
        nan=checks.nan,
        files=checks.files,
        latency_ms=times,
        throughput=rates,
        cold_start=started,
        machine=machine(),
        dataset=exported.interface.dataset,
        versions=exported.interface.versions,
    )


def run_checks(subject: Subject) -> Verification:
    """Run the checks of the exported files; the document has `gates`, `parity`, `nan` and `files`.

    Raises:
        Blocked: The files cannot run, so nothing can be measured.
    """
    exported = subject.exported
    models = exported.models()
    gates = [*exported.check_files(models), subject.check_metadata(models)]
    parity = subject.compare_with_torch()
    gates += parity_gates(parity)
    # First, because the calls below would raise where these comparisons record the error.
    _require_runnable(subject.task_name, gates, parity)
    nan = propagate_nan(exported.nan_calls(subject.probes[0]))
    gates += [
        *subject.check_behavior(),
        nan_gate(nan),
        finite("finite", all(row.finite for row in parity)),
        *exported.check_contract(subject.probes),
    ]
    files = [structure(path, model) for path, model in models.items()]
    return Verification(gates=gates, parity=parity, nan=nan, files=files)


def _require_runnable(task: str, gates: Sequence[Gate], parity: Sequence[Parity]) -> None:
    """Raise `Blocked` with every failed gate if a call of the files raised."""
    if any(row.error and row.call != "long rollout" for row in parity):
        failed = [f"{gate.name}: {gate.value}" for gate in gates if not gate.passed]
        raise Blocked(
            f"{task}: verification",
            "; ".join(failed),
            expected="files that run for any batch",
            fix="nothing was measured; export the model again",
        )


def summary(document: Verification) -> VerificationSummary:
    """Return the artifact summary."""
    return VerificationSummary(
        passed=document.summary.passed,
        form=document.form,
        metrics=document.metrics,
        nrmse_interval={
            who: accuracy.nrmse_interval for who, accuracy in document.accuracy.items()
        },
        checks=document.summary,
    )
