"""The parts of a report that only dynamics models have, as HTML."""

from kinemill.reports.charts import number
from kinemill.reports.components import card
from kinemill.reports.templates import render
from kinemill.verify.comparison_sections import best_card, horizons_card
from kinemill.verify.document import Verification
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.figures import three_examples
from kinemill.verify.output_errors import outputs_section
from kinemill.verify.report_sections import (
    Parts,
    accuracy_card,
    analysis_sections,
    limits_text,
    windows_card,
)


def dynamics_parts(subject: DynamicsSubject, document: Verification) -> Parts:
    """Return accuracy, comparison, rollouts, stability, speed and data of a dynamics model."""
    analysis = subject.analysis
    interface = subject.exported.interface
    dataset = subject.dataset
    model = analysis.model
    latency = next(iter(document.latency_ms.values()))  # of a rollout
    horizon_ms = model.horizon * model.dt * 1000
    speed = f"p99 {number(latency.p99)} ms, {number(horizon_ms / latency.p50)} × real time"
    splits = {name: dataset.of(name) for name in ("train", "validation", "test")}
    text = "The typical window has the median error; nine of ten windows are better than the hard."
    shape = f"(1, {interface.history}, {len(interface.states)})"
    return Parts(
        kind="Model",
        cards=[
            accuracy_card(analysis),
            best_card(document),
            horizons_card(document),
            card(f"Rollout, {model.horizon} steps", number(latency.p50), "ms", speed),
            windows_card(analysis, "Held-out windows"),
        ],
        sections=[
            *analysis_sections(analysis, document, "the test split", three_examples(model), text),
            outputs_section(document.outputs, model.dt),
        ],
        details=render("verify/trials.html.j2", document=document, motion=subject.motion),
        checks_note="Accuracy is not a check; the gate compares it with the references and the "
        "champion.",
        channels=[
            [n, role, interface.units[n], limits_text(interface.limits, n)]
            for role, names in interface.roles.items()
            for n in names
        ],
        facts=[
            ["History", f"{interface.history} rows, {interface.history * interface.dt:.4g} s"],
            *[
                [
                    name.capitalize(),
                    f"{len(items)} episodes, {sum(item.rows for item in items)} rows",
                ]
                for name, items in splits.items()
            ],
        ],
        code="simulator = kinemill.runtime.load(FOLDER)      # or "
        f"models:/{interface.task}@champion\n"
        f"simulator.rollout(states, past_actions, actions)  # states {shape}, float32",
    )
