"""report.html: one page that opens anywhere, with everything a person asks about a model."""

from html import escape
from pathlib import Path

from kinemill.dataset import PackedDataset
from kinemill.reports.charts import number
from kinemill.reports.components import card, mark, name_of, table
from kinemill.store import Json, publish_json
from kinemill.verify.check_sections import trial_sections
from kinemill.verify.comparison_sections import DECISION, best_card, horizons_card, verified_head
from kinemill.verify.evaluate_files import Verdict
from kinemill.verify.figures import three_examples
from kinemill.verify.overfitting import fitting_section
from kinemill.verify.report_sections import (
    accuracy_card,
    analysis_sections,
    document,
    windows_card,
)


def write(verdict: Verdict, found: Json, dataset: PackedDataset, folder: Path) -> None:
    """Write verification.json, which is `found`, and report.html into `folder`."""
    publish_json(folder / "verification.json", found)
    (folder / "report.html").write_text(page(verdict, found, dataset), encoding="utf-8")


def page(verdict: Verdict, found: Json, dataset: PackedDataset) -> str:
    """Return the whole report as one HTML document without links to anything outside."""
    task, analysis = verdict.subject.simulator.interface.task, verdict.analysis
    text = "Typical is the median window; nine of ten are better than the hard one."
    sections = [
        _header(found, escape(task)),
        _cards(verdict, found),
        DECISION,
        *analysis_sections(analysis, found, "the test split", three_examples(analysis.model), text),
        fitting_section(verdict.subject.fitting),
        _gates(verdict),
        *trial_sections(found, verdict.subject.motion),
        _facts(verdict, dataset),
    ]
    footer = (
        "Made by kinemill from the exported ONNX files alone. "
        "The numbers are in verification.json beside this page."
    )
    return document(f"{task}: verification", sections, footer)


def _header(found: Json, task: str) -> str:
    return (
        f'<header><div><div class="eyebrow">Model verification</div><h1>{task}</h1></div>'
        f"{verified_head(found)}"
    )


def _cards(verdict: Verdict, found: Json) -> str:
    model, times = verdict.analysis.model, verdict.latency["rollout"]
    ahead_ms = model.horizon * model.dt * 1000
    speed = f"p99 {number(times.p99)} ms, {number(ahead_ms / times.p50)} × real time"
    cards = [
        accuracy_card(verdict.analysis),
        best_card(found),
        horizons_card(found),
        card(f"Rollout, {model.horizon} steps", number(times.p50), "ms", speed),
        windows_card(verdict.analysis, "Held-out windows"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _gates(verdict: Verdict) -> str:
    gates = [
        [mark(gate.passed), name_of(gate.name), escape(gate.found), escape(gate.wanted)]
        for gate in verdict.gates
    ]
    parity = [
        [
            mark(row.passed),
            *(row.what, escape(row.probe), escape(row.channel)),
            *(str(row.batch), f"{row.found:.1e}", f"{row.allowed:.1e}"),
        ]
        for row in verdict.trials.parity
    ]
    return (
        "<h2>Checks of the exported files</h2><p>Run in a separate process on the published files. "
        "Accuracy does not decide here; the gate compares it with references and champion.</p>"
        + table(["", "Check", "Found", "Wanted"], gates, fixed=True)
        + f"<details><summary>All {len(parity)} comparisons with torch</summary>"
        "<p>Largest difference from the trained step in float64, in the channel's unit. At most "
        "ten times what sound evaluations of the same step in the files' precision differ by on "
        "the same inputs, or 1e-5 of the channel's standard deviation in training.</p>"
        + table(
            ["", "File", "Inputs", "Worst in", "Batch", "Found", "Allowed"], parity, numbers_from=4
        )
        + "</details>"
    )


def _facts(verdict: Verdict, dataset: PackedDataset) -> str:
    interface = verdict.subject.simulator.interface
    rows = {name: sum(item.stop - item.start for item in dataset.of(name)) for name in _SPLITS}
    episodes = {name: len(dataset.of(name)) for name in _SPLITS}
    limits = {name: f"{low:g} to {high:g}" for name, (low, high) in interface.limits.items()}
    channels = [
        [
            name_of(name),
            "state" if name in interface.states else "action",
            escape(interface.units[name]),
            limits.get(name, "–"),
        ]
        for name in (*interface.states, *interface.actions)
    ]
    facts = [
        ["Time step", f"{interface.dt * 1000:.4g} ms"],
        ["History", f"{interface.history} rows, {interface.history * interface.dt:.4g} s"],
        ["Carry", ", ".join(f"{c.name} {list(c.shape)}" for c in interface.carry) or "none"],
        *[
            [f"{name.capitalize()}", f"{episodes[name]} episodes, {rows[name]} rows"]
            for name in _SPLITS
        ],
        ["Dataset", f"<code>{escape(interface.dataset[:16])}</code>"],
        *[[escape(name), escape(version)] for name, version in interface.versions.items()],
    ]
    shape = f"(1, {interface.history}, {len(interface.states)})"
    code = (
        "simulator = kinemill.runtime.load(FOLDER)      # or "
        f"models:/{escape(interface.task)}@champion\n"
        f"simulator.rollout(states, past_actions, actions)  # states {shape}, float32"
    )
    return (
        "<h2>Model and data</h2>"
        f'<div class="two">{table(["Channel", "Role", "Unit", "Limits"], channels)}'
        f"{table(['Fact', ''], facts)}</div><h2>Use it</h2><pre>{code}</pre>"
    )


_SPLITS = ("train", "validation", "test")
