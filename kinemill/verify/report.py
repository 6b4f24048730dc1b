"""report.html: a page about a verified model or policy that needs no other files."""

from html import escape
from pathlib import Path

from kinemill.reports.charts import number
from kinemill.reports.components import card, html_page, mark, name_of, table
from kinemill.runtime import Interface, PolicyInterface
from kinemill.store import publish_document
from kinemill.verify.check_sections import trial_sections
from kinemill.verify.comparison_sections import DECISION, best_card, horizons_card, verified_head
from kinemill.verify.document import VERIFICATION, Verification
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.effects import ADVICE
from kinemill.verify.figures import three_examples
from kinemill.verify.output_errors import outputs_section
from kinemill.verify.overfitting import fitting_section
from kinemill.verify.report_sections import (
    Parts,
    accuracy_card,
    analysis_sections,
    limits_text,
    windows_card,
)
from kinemill.verify.verifier import Verdict


def write(verdict: Verdict, document: Verification, folder: Path) -> None:
    """Write `document` as verification.json, and report.html, into `folder`.

    For a policy with an environment, also write the steps of the first trials to
    `rollouts.parquet`.
    """
    from kinemill.environments.logs import write_steps
    from kinemill.verify.policies.trials import EnvironmentTrials

    publish_document(folder / VERIFICATION, document)
    (folder / "report.html").write_text(page(verdict, document), encoding="utf-8")
    trials = getattr(verdict.subject, "trials", None)
    if isinstance(trials, EnvironmentTrials):
        write_steps(trials.model.episodes, folder)


def page(verdict: Verdict, document: Verification) -> str:
    """Return the report as one HTML document without external links."""
    task = verdict.subject.exported.interface.task
    if isinstance(verdict.subject, DynamicsSubject):
        parts = dynamics_parts(verdict, verdict.subject, document)
    else:
        from kinemill.verify.policies.sections import policy_parts

        parts = policy_parts(verdict, document)
    first, last = parts.sections
    title = (
        f'<header><div><div class="eyebrow">{parts.kind} verification</div>'
        f"<h1>{escape(task)}</h1></div>{verified_head(document)}"
    )
    sections = [
        title,
        f'<div class="cards">{"".join(parts.cards)}</div>',
        DECISION,
        *first,
        _checks(verdict, parts),
        *last,
        _facts(verdict, parts),
    ]
    footer = (
        "Made by kinemill from the exported ONNX files only. "
        "The numbers are in verification.json in this folder."
    )
    return html_page(f"{task}: verification", sections, footer)


def _checks(verdict: Verdict, parts: Parts) -> str:
    gates = [
        [mark(gate.passed), name_of(gate.name), escape(gate.value), escape(gate.expected)]
        for gate in verdict.gates
    ]
    parity = [
        [
            *(mark(row.passed), row.call, escape(row.probe), escape(row.channel), str(row.batch)),
            *(str(row.steps), str(row.threads), f"{row.difference:.1e}", f"{row.allowed:.1e}"),
        ]
        for row in verdict.checks.parity
    ]
    heads = ["", "Call", "Inputs", "Worst in", "Batch", "Steps", "Threads", "Difference", "Allowed"]
    return (
        "<h2>Checks of the exported files</h2><p>The checks ran in a separate process on the "
        f"published files. {parts.checks_note}</p>"
        + table(["", "Check", "Result", "Expected"], gates, fixed=True)
        + f"<details><summary>All {len(parity)} comparisons with torch</summary>"
        "<p>Largest difference from the trained network, in the unit of the channel. Ten times the "
        "effect of rounding on the same inputs is allowed, at least 1e-5 of the scale of the "
        "channel.</p>" + table(heads, parity, numbers_from=4) + "</details>"
    )


def _facts(verdict: Verdict, parts: Parts) -> str:
    interface: Interface | PolicyInterface = verdict.subject.exported.interface
    carry = ", ".join(f"{item.name} {list(item.shape)}" for item in interface.carry)
    facts = [
        ["Time step", f"{interface.dt * 1000:.4g} ms"],
        ["Carry", carry or "none"],
        *parts.facts,
        ["Dataset", f"<code>{escape(interface.dataset[:16])}</code>"],
        *[[escape(name), escape(version)] for name, version in interface.versions.items()],
    ]
    channels = table(["Channel", "Role", "Unit", "Limits"], parts.channels)
    return (
        f'<h2>{parts.kind}</h2><div class="two">{channels}{table(["Fact", ""], facts)}</div>'
        f"<h2>Use it</h2><pre>{parts.code}</pre>"
    )


LISTED = 12  # effects in the table


def dynamics_parts(verdict: Verdict, subject: DynamicsSubject, document: Verification) -> Parts:
    """Return accuracy, comparison, rollouts, stability, speed and data of a dynamics model."""
    analysis = subject.analysis
    interface = subject.exported.interface
    dataset = subject.dataset
    model = analysis.model
    times = verdict.call_latency
    horizon_ms = model.horizon * model.dt * 1000
    speed = f"p99 {number(times.p99)} ms, {number(horizon_ms / times.p50)} × real time"
    splits = {name: dataset.of(name) for name in ("train", "validation", "test")}
    text = "The typical window has the median error; nine of ten windows are better than the hard."
    shape = f"(1, {interface.history}, {len(interface.states)})"
    return Parts(
        kind="Model",
        cards=[
            accuracy_card(analysis),
            best_card(document),
            horizons_card(document),
            card(f"Rollout, {model.horizon} steps", number(times.p50), "ms", speed),
            windows_card(analysis, "Held-out windows"),
        ],
        sections=(
            [
                *analysis_sections(
                    analysis, document, "the test split", three_examples(model), text
                ),
                outputs_section(document.outputs, model.dt),
                fitting_section(subject.fit_diagnosis),
                _unmodeled(document),
            ],
            trial_sections(document, subject.motion),
        ),
        checks_note="Accuracy is not a check; the gate compares it with the references and the "
        "champion.",
        channels=[
            [name_of(n), role, escape(interface.units[n]), limits_text(interface.limits, n)]
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
        f"models:/{escape(interface.task)}@champion\n"
        f"simulator.rollout(states, past_actions, actions)  # states {shape}, float32",
    )


def _unmodeled(document: Verification) -> str:
    """Return the effects that explain residuals, with suggestions; empty if there are none."""
    if not document.unmodeled:
        return ""
    rows = [
        [name_of(effect.channel), f"{effect.share:.0%}", *map(escape, ADVICE[effect.effect])]
        for effect in document.unmodeled[:LISTED]
    ]
    head = ["channel", "share of the residuals", "explained by", "suggestion"]
    return (
        "<h2>Unmodeled effects</h2><p>Terms that explain one-step errors on the validation and "
        "training splits: the share of their variance on rows not used in the fit, in addition to "
        "linear terms of the current row. Shares of one channel overlap. The rest is noise, or an "
        "effect that no channel measures.</p>" + table(head, rows, fixed=True)
    )
