"""Judge the published files: every gate, every error, every time, as one document and one page."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.runtime import Simulator
from kinemill.spec.parts import Verify
from kinemill.store import Json
from kinemill.verify.accuracy import Errors
from kinemill.verify.analysis import Analysis, analyse, analysis_document, plain
from kinemill.verify.baselines import contestants
from kinemill.verify.curves import Fitting
from kinemill.verify.files import Gate, check_files
from kinemill.verify.latency import Latency, latency
from kinemill.verify.parity import Pair, Parity, Poison, compare, poison
from kinemill.verify.probes import make_probes

STILL = 1e-12  # a smaller spread in training counts as 1, as in the step's own scaling


@dataclass(frozen=True)
class Verdict:
    """Everything that was found out about one exported model.

    Attributes:
        simulator: the model, from its published files.
        analysis: the model and what it has to beat on the test split.
        gates: the lines that decide.
        parity: the comparisons behind them.
        poisoned: what NaN did.
        latency: `rollout` and `step`.
        document: verification.json.
        fitting: what the curves of its training show, if anything.
    """

    simulator: Simulator
    analysis: Analysis
    gates: list[Gate]
    parity: list[Parity]
    poisoned: list[Poison]
    latency: dict[str, Latency]
    document: Json
    fitting: Fitting | None = None

    @property
    def errors(self) -> dict[str, Errors]:
        """Errors on the test split by contestant, `model` first."""
        return self.analysis.errors


def judge(
    simulator: Simulator,
    folder: Path,
    step: Any,
    dataset: PackedDataset,
    settings: Verify,
    fitting: Fitting | None = None,
) -> Verdict:
    """Try the files in `folder`, which `simulator` was loaded from, in every way there is.

    Args:
        simulator: loaded with `non_finite="pass"`.
        folder: with step.onnx and rollout.onnx.
        step: the trained step in torch, for parity.
        dataset: with the test split, and the training split that baselines are fitted on.
        settings: horizon, stride, and the bound on latency if there is one.
        fitting: what the curves of its training show, if anything.
    """
    interface = simulator.interface
    angle = np.array([name in interface.angles for name in interface.states])
    spread = dataset.std[: len(angle)]
    spread = np.where(spread > STILL, spread, 1.0)
    probes = make_probes(dataset, interface, settings.horizon)
    predictors = {"model": simulator, **contestants(dataset, simulator.history)}
    analysis = analyse(predictors, dataset, "test", settings.horizon, settings.stride)
    parity = compare(Pair(simulator, step, spread, angle), probes)
    poisoned = poison(simulator, probes[0])
    times = latency(simulator, probes[0])
    gates = [
        *check_files(folder, dataset),
        *_gates(parity, poisoned, analysis.model),
        *_speed(times["rollout"], settings),
    ]
    verdict = Verdict(simulator, analysis, gates, parity, poisoned, times, {}, fitting)
    verdict.document.update(_document(verdict))
    return verdict


def _gates(parity: list[Parity], poisoned: list[Poison], errors: Errors) -> list[Gate]:
    gates: list[Gate] = []
    for what in ("step", "rollout"):
        rows = [row for row in parity if row.what == what]
        worst = max(rows, key=_ratio)
        gates.append(
            Gate(
                f"{what} parity",
                all(row.passed for row in rows),
                f"{worst.found:.2e} in {worst.channel} ({worst.probe}, {len(rows)} comparisons)",
                f"at most {worst.allowed:.2e}",
            )
        )
    failed = [f"{row.what}: {row.tensor}" for row in poisoned if not row.passed]
    found = f"not from {', '.join(sorted(set(failed)))}" if failed else f"{len(poisoned)} of them"
    gates.append(Gate("NaN stays in its row", not failed, found, "NaN in its row, in no other"))
    finite = bool(np.isfinite(errors.by_step).all()) and all(row.finite for row in parity)
    gates.append(Gate("finite", finite, "finite" if finite else "not finite", "finite everywhere"))
    return gates


def _ratio(row: Parity) -> float:
    ratio = row.found / row.allowed if row.allowed else math.inf
    return ratio if math.isfinite(ratio) and row.finite else math.inf


def _speed(times: Latency, settings: Verify) -> list[Gate]:
    bound = settings.latency_p99_ms
    if bound is None:
        return []
    found = f"p99 {times.p99:.3f} ms"
    return [Gate("latency", times.p99 <= bound, found, f"p99 at most {bound} ms a rollout")]


def _document(verdict: Verdict) -> Json:
    gates, errors = verdict.gates, verdict.errors
    parity = all(gate.passed for gate in gates if gate.name.endswith("parity"))
    interface = verdict.simulator.interface
    channels: Json = {
        name: {"unit": interface.units[name]}
        | {who: float(found.rmse[index]) for who, found in errors.items()}
        for index, name in enumerate(interface.states)
    }
    passed = all(gate.passed for gate in gates)
    document: Json = {
        "format": 1,
        "task": interface.task,
        "passed": passed,
        "metrics": {"test": channels, "nrmse": {who: it.nrmse for who, it in errors.items()}},
        "verification": {
            "passed": passed,
            "parity": parity,
            "latency_ms": asdict(verdict.latency["rollout"]),
        },
        "gates": [asdict(gate) for gate in gates],
        **analysis_document(verdict.analysis),
        "parity": [asdict(row) for row in verdict.parity],
        "nan": [asdict(row) | {"passed": row.passed} for row in verdict.poisoned],
        "latency_ms": {name: asdict(times) for name, times in verdict.latency.items()},
        "fitting": asdict(verdict.fitting) if verdict.fitting else None,
        "dataset": interface.dataset,
        "versions": interface.versions,
    }
    return plain(document)


def summary(document: Json) -> Json:
    """Return the part of verification.json that a person or a gate asks for first."""
    parts = ("metrics", "verification", "gates", "against", "windows")
    intervals = {name: item["nrmse_interval"] for name, item in document["accuracy"].items()}
    return json.loads(json.dumps({name: document[name] for name in parts})) | {
        "passed": document["passed"],
        "nrmse_interval": intervals,
    }
