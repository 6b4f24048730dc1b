"""`kinemill model verify` for a policy: its folder without data and trained network."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from kinemill.export.policy_cases import allowed_of, play
from kinemill.runtime import Policy, load
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.policy_self_test import parity, read_cases
from kinemill.runtime.self_test import CASES
from kinemill.store import Json
from kinemill.verify.checklist import Gate
from kinemill.verify.cold_start import cold_start
from kinemill.verify.files import read_model
from kinemill.verify.latency import machine
from kinemill.verify.policies.contract_checks import manners
from kinemill.verify.policies.evaluate_files import contained, examine, latency
from kinemill.verify.policies.parity import poison
from kinemill.verify.policies.test_inputs import FEW, Probe, make_probes
from kinemill.verify.structure import structure

NEAR = 10.0  # times the rounding that is allowed beside torch: two ways of running one file


def try_folder(folder: Path) -> tuple[list[Gate], Json]:
    """Try a folder with `policy.onnx` in every way that needs nothing else.

    Returns:
        The lines of the verdict, and the rest of the document.
    """
    path = folder / POLICY
    model = read_model(path)
    gates = examine(path, model)
    policy = load(folder, non_finite="pass")
    probes = make_probes(policy.interface)
    refusing = load(folder, out_of_limits="raise")
    if (folder / CASES).is_file():
        cases = read_cases(folder / CASES)
        gates += tried("parity", lambda: [Gate(**line) for line in parity(policy, cases)])
    threaded = load(folder, threads=2, non_finite="pass")
    gates += [
        *tried("any batch", lambda: [_any_batch(policy, probes[0])]),
        *tried("threads", lambda: [_alike("threads", policy, threaded, probes[0])]),
        *tried("NaN stays in its row", lambda: [contained(poison(policy, probes[0]))]),
        *tried("manners", lambda: manners(policy, refusing, probes)),
    ]
    about: Json = {
        "task": policy.interface.task,
        "files": [asdict(structure(path, model))],
        "latency_ms": {name: asdict(one) for name, one in latency(policy, probes[0]).items()},
        "cold_start": cold_start(folder),
        "machine": machine(),
        "dataset": policy.interface.dataset,
        "versions": policy.interface.versions,
    }
    return gates, about


def _any_batch(policy: Policy, probe: Probe) -> Gate:
    """Ask whether a row is answered as it is alone, whatever else is in its batch."""
    together = play(policy, probe.inputs)[:FEW]
    rows = [{name: part[[n]] for name, part in probe.inputs.items()} for n in range(FEW)]
    alone = np.concatenate([play(policy, row) for row in rows])
    return _same("any batch", policy, alone, together)


def _alike(name: str, policy: Policy, other: Policy, probe: Probe) -> Gate:
    return _same(name, policy, play(other, probe.inputs), play(policy, probe.inputs))


def _same(name: str, policy: Policy, one: np.ndarray, other: np.ndarray) -> Gate:
    off = np.abs(one.astype(np.float64) - other)
    allowed = NEAR * allowed_of(other, [other], policy.interface)
    passed = bool((off <= allowed).all())
    return Gate(name, passed, f"{float(off.max()):.1e} apart", "but for rounding the same")


def tried(name: str, ask: Callable[[], list[Gate]]) -> list[Gate]:
    """Ask, or say why that cannot be."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types
        text = str(error).strip().splitlines()
        return [Gate(name, False, text[0] if text else type(error).__name__, "runs")]
