"""Results of a policy on logs and in an environment, as a document and as an HTML page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kinemill.policies.environments.evaluation import Trials
from kinemill.policies.verification.action_errors import HeldOut
from kinemill.policies.verification.sections import MOST, Chart, errors_section, returns_section
from kinemill.policies.verification.subject import gain_of
from kinemill.policies.verification.trials import trial_results
from kinemill.reports.charts import Line, axis_label, line_chart
from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.store import publish_document, publish_file
from kinemill.verify.analysis import accuracy
from kinemill.verify.document import EVALUATION, ActionCurves, EvaluatedModel, PolicyEvaluation
from kinemill.verify.logs import Logs


@dataclass(frozen=True)
class LogMeasurement:
    """Results of a policy on logs.

    Attributes:
        held_out: actions and their errors.
        curves: differences from the logged actions over time.
    """

    logs: Logs
    held_out: HeldOut
    curves: ActionCurves


@dataclass(frozen=True)
class PolicyMeasurement:
    """All measurements of a policy.

    Attributes:
        on_logs: results on logs; None without logs.
        environment: environment of the trials; None without trials.
        trials: episodes by name of the policy, `model` first.
        notes: remarks.
    """

    task: str
    source: EvaluatedModel
    on_logs: LogMeasurement | None = None
    environment: str | None = None
    trials: Mapping[str, Trials] = field(default_factory=dict[str, Trials])
    notes: list[str] = field(default_factory=list[str])

    def document(self) -> PolicyEvaluation:
        """Return evaluation.json."""
        on_logs = self.on_logs
        model = self.trials.get("model")
        baselines = {who: trial for who, trial in self.trials.items() if who != "model"}
        errors = on_logs.held_out.errors if on_logs else {}
        return PolicyEvaluation(
            self.task,
            self.source,
            logs=on_logs and on_logs.logs.facts(),
            actions={who: accuracy(action_errors) for who, action_errors in errors.items()} or None,
            curves=on_logs and on_logs.curves,
            environment=self.environment,
            trials={who: trial_results(trial) for who, trial in self.trials.items()},
            gains={who: gain_of(model, trial) for who, trial in baselines.items()} if model else {},
            notes=self.notes,
        )

    def write(self, folder: Path) -> PolicyEvaluation:
        """Write evaluation.json and report.html into a folder; return the document."""
        folder.mkdir(parents=True, exist_ok=True)
        document = self.document()
        publish_file(folder / "report.html", self._page(document).encode())
        publish_document(folder / EVALUATION, document)
        return document

    def _page(self, document: PolicyEvaluation) -> str:
        title = f"{self.task} {self.source.name}"
        errors = ""
        curves = list[Chart]()
        if self.on_logs is not None:
            where = f"{len(self.on_logs.logs.rows.episodes)} episodes of the logs"
            errors = errors_section(self.on_logs.held_out, where)
            curves = _curve_charts(self.on_logs.curves)
        channels = document.curves.channels.values() if document.curves else ()
        body = render(
            "policies/verification/evaluation.html.j2",
            title=title,
            document=document,
            returns=returns_section(self.trials, document.gains) if self.trials else "",
            action_errors=errors,
            curves=curves,
            has_resets=any(channel.by_step is not None for channel in channels),
        )
        footer = (
            "Made by kinemill from the exported ONNX file. The numbers are in evaluation.json in "
            "this folder."
        )
        return html_page(f"{title}: evaluation", [body], footer)


def _curve_charts(curves: ActionCurves) -> list[Chart]:
    charts = list[Chart]()
    for name, curve in list(curves.channels.items())[:MOST]:
        line = Line(name, "model", np.asarray(curves.seconds), np.asarray(curve.by_time))
        labels = ("time in the episode, s", axis_label(name, curve.unit))
        charts.append((name, curve.unit, line_chart([line], labels=labels)))
        if curve.by_step is not None:
            time = np.arange(len(curve.by_step)) * np.float64(curves.dt)
            line = Line(name, "model", time, np.asarray(curve.by_step))
            labels = ("time after a reset, s", axis_label(name, curve.unit))
            chart = line_chart([line], labels=labels)
            charts.append((f"{name}, after a reset", curve.unit, chart))
    return charts
