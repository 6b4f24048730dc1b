"""Judge the published files: every gate, every error, every time, as one verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinemill.task.verify import Verify
from kinemill.verify.analysis import Analysis, Measurement, analyze
from kinemill.verify.checklist import Gate
from kinemill.verify.cold_start import cold_start
from kinemill.verify.errors import Errors
from kinemill.verify.execution_providers import THREADS
from kinemill.verify.latency import Latency, latency, throughput
from kinemill.verify.references import Persistence
from kinemill.verify.run_checks import Subject, Trials, finite, try_out
from kinemill.verify.stability import Stability, sensitivity, stability


@dataclass(frozen=True)
class Verdict:
    """Everything that was found out about one exported model.

    Attributes:
        subject: what was judged.
        trials: what was tried.
        analysis: the model and what it has to beat on the test split.
        latency: `rollout` and `step`.
        stability: of long rollouts.
        measured: sensitivity, throughput, cold start: parts of the document.
        gates: the lines that decide.
    """

    subject: Subject
    trials: Trials
    analysis: Analysis
    latency: dict[str, Latency]
    stability: Stability
    measured: Mapping[str, Any]
    gates: list[Gate]

    @property
    def errors(self) -> dict[str, Errors]:
        """Errors on the test split by contestant, `model` first."""
        return self.analysis.errors

    @property
    def passed(self) -> bool:
        """Whether all lines passed."""
        return all(gate.passed for gate in self.gates)


def judge(subject: Subject) -> Verdict:
    """Try the files in every way there is, and measure them.

    Raises:
        Blocked: they cannot be run as promised, so there is nothing to measure.
    """
    simulator, dataset, settings = subject.simulator, subject.dataset, subject.settings
    trials = try_out(subject)
    found = subject.references
    over_windows = found.predictors() if found else {"persistence": Persistence()}
    analysis = analyze(
        {"model": simulator, **over_windows},
        dataset,
        "test",
        _measurement(subject),
        {"model": simulator, **(found.free_run() if found else over_windows)},
    )
    probe = trials.probes[0]
    times = latency(simulator, probe, whole=settings.latency_p99_ms is not None)
    gates = [
        *trials.gates,
        finite("finite errors", bool(np.isfinite(analysis.model.by_step).all())),
        *_speed(times["rollout"], settings),
    ]
    measured = {
        "sensitivity": sensitivity(simulator, probe, subject.spread),
        "throughput": throughput({1: simulator, THREADS: subject.threaded}, probe),
        "cold_start": cold_start(subject.folder),
    }
    found = stability(simulator, dataset)
    return Verdict(subject, trials, analysis, times, found, measured, gates)


def _measurement(subject: Subject) -> Measurement:
    settings, counted = subject.settings, subject.counted
    if counted is None:
        return Measurement(settings.horizon, settings.stride)
    return Measurement(settings.horizon, settings.stride, counted.margin, steps=counted.steps)


def _speed(times: Latency, settings: Verify) -> list[Gate]:
    bound = settings.latency_p99_ms
    if bound is None:
        return []
    found = f"p99 {times.p99:.3f} ms, the best of {times.blocks} blocks of {times.calls} calls"
    return [Gate("latency", times.p99 <= bound, found, f"p99 at most {bound} ms a rollout")]
