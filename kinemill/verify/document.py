"""verification.json: the verdict as a document, and the part of it that is asked for first."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from kinemill.store import Json
from kinemill.verify.analysis import MODEL, analysis_document, plain
from kinemill.verify.evaluate_files import Verdict
from kinemill.verify.latency import machine
from kinemill.verify.physics import sense_document


def verdict_document(verdict: Verdict) -> Json:
    """Return verification.json."""
    subject, errors = verdict.subject, verdict.errors
    interface = subject.simulator.interface
    channels: Json = {
        name: {"unit": interface.units[name]}
        | {who: float(found.rmse[index]) for who, found in errors.items()}
        for index, name in enumerate(interface.states)
    }
    for name, note in errors[MODEL].notes().items():
        channels[name]["note"] = note
    parity = all(gate.passed for gate in verdict.gates if gate.name.endswith("parity"))
    rollout = verdict.latency["rollout"]
    return plain(
        {
            "format": 1,
            "task": interface.task,
            "model": subject.model,
            "passed": verdict.passed,
            "metrics": {"test": channels, "nrmse": {who: it.nrmse for who, it in errors.items()}},
            "verification": {
                "passed": verdict.passed,
                "parity": parity,
                "precision": verdict.trials.precision.passed,
                "latency_ms": {"p50": rollout.p50, "p99": rollout.p99},
            },
            "gates": [asdict(gate) for gate in verdict.gates],
            **analysis_document(verdict.analysis),
            "precision": verdict.trials.precision.to_json(),
            "parity": [asdict(row) for row in verdict.trials.parity],
            "nan": [asdict(row) | {"passed": row.passed} for row in verdict.trials.poisoned],
            "files": [asdict(one) for one in verdict.trials.structures],
            "latency_ms": {name: asdict(times) for name, times in verdict.latency.items()},
            **verdict.measured,
            "machine": machine(),
            "stability": verdict.stability.to_json(),
            "physics": sense_document(verdict.trials.sense),
            "closed_loop": subject.closed_loop,
            **_exported(subject.exported or {}, verdict.trials.variants),
            "fitting": asdict(subject.fitting) if subject.fitting else None,
            "references": subject.references.to_json() if subject.references else None,
            "counted": subject.counted.to_json() if subject.counted else None,
            "dataset": interface.dataset,
            "versions": interface.versions,
        }
    )


def _exported(said: Json, errors: Mapping[str, float]) -> Json:
    """Return what is known of step.c, and what each variant in fewer bits costs and weighs."""
    variants: Json = {
        name: loss
        | {"test": errors.get(name), "test_fp32": errors.get("fp32")}
        | {"bytes": {file: n for file, n in said["bytes"].items() if f".{name}." in file}}
        for name, loss in said.get("variants", {}).items()
    }
    return {"c99": said.get("c99"), "variants": variants}


def summary(document: Json) -> Json:
    """Return the part of verification.json that a person or a gate asks for first."""
    parts = ("metrics", "verification", "gates", "against", "windows")
    intervals = {name: item["nrmse_interval"] for name, item in document["accuracy"].items()}
    return json.loads(json.dumps({name: document[name] for name in parts})) | {
        "passed": document["passed"],
        "nrmse_interval": intervals,
    }
