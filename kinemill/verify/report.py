"""report.html: a page about a verified model or policy that needs no other files."""

from html import escape
from pathlib import Path

from kinemill.reports.components import html_page, mark, name_of, table
from kinemill.runtime import Interface, PolicyInterface
from kinemill.store import publish_document
from kinemill.verify.comparison_sections import DECISION, verified_head
from kinemill.verify.document import VERIFICATION, Verification
from kinemill.verify.report_sections import Parts
from kinemill.verify.subject import KINDS
from kinemill.verify.verifier import Verdict


def write(verdict: Verdict, document: Verification, folder: Path) -> None:
    """Write verification.json, report.html and the files of the subject into `folder`."""
    publish_document(folder / VERIFICATION, document)
    (folder / "report.html").write_text(page(verdict, document), encoding="utf-8")
    verdict.subject.write_files(folder)


def page(verdict: Verdict, document: Verification) -> str:
    """Return the report as one HTML document without external links."""
    task = verdict.subject.exported.interface.task
    parts = KINDS[verdict.subject.kind].parts(verdict.subject, document)
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
