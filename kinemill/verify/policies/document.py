"""verification.json of a policy: the verdict as a document, and what is asked for first."""

import json
from dataclasses import asdict

import numpy as np

from kinemill.environments.evaluation import Trials, bootstrap
from kinemill.store import Json
from kinemill.verify.analysis import accuracy, plain
from kinemill.verify.comparison import against
from kinemill.verify.latency import machine
from kinemill.verify.policies.evaluate_files import Verdict

MODEL, RANDOM = "model", "random"


def verdict_document(verdict: Verdict) -> Json:
    """Return verification.json."""
    interface, act = verdict.subject.policy.interface, verdict.latency["act"]
    lines = {line.name: line.passed for line in verdict.gates}
    return plain(
        {
            "format": 1,
            "form": "policy",
            "task": interface.task,
            "passed": verdict.passed,
            "metrics": _metrics(verdict),
            "verification": {
                "passed": verdict.passed,
                "parity": lines["policy parity"] and lines.get("closed loop", True),
                "latency_ms": {"p50": act.p50, "p99": act.p99},
            },
            "gates": [asdict(line) for line in verdict.gates],
            "accuracy": _accuracy(verdict),
            "against": _against(verdict),
            "windows": _windows(verdict),
            **(verdict.looped.document() if verdict.looped else {}),
            "parity": [asdict(row) for row in verdict.tried.parity],
            "nan": [asdict(row) | {"passed": row.passed} for row in verdict.tried.poisoned],
            "files": [asdict(verdict.tried.structure)],
            "latency_ms": {name: asdict(times) for name, times in verdict.latency.items()},
            **verdict.measured,
            "machine": machine(),
            "dataset": interface.dataset,
            "versions": interface.versions,
        }
    )


def _metrics(verdict: Verdict) -> Json:
    """Return errors of actions where there are logs, return and success where it was tried."""
    found: Json = {"test": {}, "nrmse": {}}
    if verdict.held_out:
        errors, policy = verdict.held_out.errors, verdict.subject.policy
        found["nrmse"] = {who: it.nrmse for who, it in errors.items()}
        found["test"] = {
            name: {"unit": policy.units[name]}
            | {who: float(it.rmse[index]) for who, it in errors.items()}
            for index, name in enumerate(policy.actions)
        }
    if verdict.looped:
        tried = {MODEL: verdict.looped.model, RANDOM: verdict.looped.random}
        found["return"] = {who: it.mean_return for who, it in tried.items()}
        if tried[MODEL].success is not None:
            found["success"] = {who: it.success for who, it in tried.items()}
    return found


def _accuracy(verdict: Verdict) -> Json:
    errors = verdict.held_out.errors if verdict.held_out else {}
    return {who: accuracy(found) for who, found in errors.items()}


def _against(verdict: Verdict) -> Json:
    """Return ratios of errors with intervals, and by how much more it brings than chance."""
    found: Json = {}
    if verdict.held_out:
        errors = verdict.held_out.errors
        opponents = {name: one for name, one in errors.items() if name != MODEL}
        found = against({name: errors[MODEL].compare(one) for name, one in opponents.items()})
    if verdict.looped:
        found |= {RANDOM: differences(verdict.looped.model, verdict.looped.random)}
    return found


def differences(one: Trials, other: Trials) -> Json:
    """Return where the mean difference lies, 95 %, of `return` and `success`, start by start."""
    found: Json = {"return": list(bootstrap(np.subtract(one.returns, other.returns).tolist()))}
    if one.successes and other.successes:
        apart = np.asarray(one.successes, float) - np.asarray(other.successes, float)
        found["success"] = list(bootstrap(apart.tolist()))
    return found


def _windows(verdict: Verdict) -> Json:
    """Return on how much it was measured."""
    found: Json = {"horizon": 1}
    if verdict.held_out:
        model = verdict.held_out.errors[MODEL]
        found |= {"rows": len(model.starts), "effective_n": model.effective_n}
        found |= {"count": len(model.starts), "unit": model.unit}
    if verdict.looped:
        found |= {"episodes": len(verdict.looped.model.returns)}
    return found


def summary(document: Json) -> Json:
    """Return the part of verification.json that a person or a gate asks for first."""
    parts = ("form", "metrics", "verification", "gates", "against", "windows")
    intervals = {name: item["nrmse_interval"] for name, item in document["accuracy"].items()}
    return json.loads(json.dumps({name: document[name] for name in parts})) | {
        "passed": document["passed"],
        "nrmse_interval": intervals,
    }
