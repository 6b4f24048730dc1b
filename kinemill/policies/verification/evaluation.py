"""Results of a policy on logs and in an environment, as a document and as an HTML page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from kinemill.policies.environments.evaluation import Trials
from kinemill.policies.verification.action_errors import HeldOut
from kinemill.policies.verification.sections import MOST, errors_section, returns_section
from kinemill.policies.verification.subject import gain_of
from kinemill.policies.verification.trials import trial_results
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import card, figure, html_page, name_of, table
from kinemill.store import publish_document, publish_file
from kinemill.verify.analysis import accuracy
from kinemill.verify.document import (
    EVALUATION,
    ActionCurves,
    EvaluatedModel,
    PolicyEvaluation,
)
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
        sections = [
            '<header><div><div class="eyebrow">Policy evaluation</div>'
            f"<h1>{escape(title)}</h1></div></header>",
            f'<div class="cards">{"".join(_cards(document))}</div>',
            returns_section(self.trials, document.gains) if self.trials else "",
            _log_sections(self.on_logs) if self.on_logs else "",
            _facts(document),
        ]
        footer = (
            "Made by kinemill from the exported ONNX file. The numbers are in evaluation.json in "
            "this folder."
        )
        return html_page(f"{title}: evaluation", sections, footer)


def _cards(document: PolicyEvaluation) -> list[str]:
    cards = list[str]()
    trials = document.trials.get("model")
    errors = document.actions
    if trials is not None:
        low, high = trials.return_interval
        text = f"95 %: {number(low)} to {number(high)}, {len(trials.returns)} episodes"
        cards.append(card("Return", number(trials.mean_return), "", text))
        if trials.success is not None and trials.success_interval is not None:
            text = "95 %: {:.0%} to {:.0%}".format(*trials.success_interval)
            cards.append(card("Success", f"{trials.success:.0%}", "of episodes", text))
        lengths = trials.lengths
        text = f"{min(lengths)} to {max(lengths)}"
        cards.append(card("Length", f"{np.mean(lengths):.4g}", "steps", text))
    if errors is not None and document.logs is not None:
        text = f"{document.logs.rows} rows of {document.logs.episodes} episodes"
        cards.append(card("Error of actions", number(errors["model"].nrmse), "of their std", text))
    return cards


def _log_sections(measured: LogMeasurement) -> str:
    curves = measured.curves
    charts = "".join(_curve_charts(curves))
    where = f"{len(measured.logs.rows.episodes)} episodes of the logs"
    after = any(channel.by_step is not None for channel in curves.channels.values())
    text = "Difference from the logged action over the time of an episode" + (
        ", and over the time after a reset of the policy in the middle of it." if after else "."
    )
    return (
        errors_section(measured.held_out, where)
        + f'<h2>Differences over time</h2><p>{text}</p><div class="grid">{charts}</div>'
    )


def _curve_charts(curves: ActionCurves) -> list[str]:
    charts = list[str]()
    seconds = np.asarray(curves.seconds)
    for name, curve in list(curves.channels.items())[:MOST]:
        line = Line(name, "model", seconds, np.asarray(curve.by_time))
        labels = ("time in the episode, s", axis_label(name, curve.unit))
        charts.append(figure(name, curve.unit, line_chart([line], labels=labels)))
        if curve.by_step is not None:
            time = np.arange(len(curve.by_step)) * np.float64(curves.dt)
            line = Line(name, "model", time, np.asarray(curve.by_step))
            labels = ("time after a reset, s", axis_label(name, curve.unit))
            charts.append(
                figure(f"{name}, after a reset", curve.unit, line_chart([line], labels=labels))
            )
    return charts


def _facts(document: PolicyEvaluation) -> str:
    facts = [[name_of("Policy"), escape(document.source.folder)]]
    if document.environment is not None:
        facts.append([name_of("Environment"), escape(document.environment)])
    if document.logs is not None:
        facts.append([name_of("Logs"), escape(document.logs.path)])
    facts += [[name_of("Note"), escape(note)] for note in document.notes]
    return f"<h2>Policy and data</h2>{table(['What', ''], facts)}"
