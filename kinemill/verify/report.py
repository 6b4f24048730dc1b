"""report.html: a page about a verified model or policy that needs no other files."""

from html import escape
from pathlib import Path

from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.store import publish_document
from kinemill.verify.comparison_sections import DECISION, verified_head
from kinemill.verify.document import VERIFICATION, Verification
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
        render(
            "verify/checks.html.j2",
            note=parts.checks_note,
            gates=verdict.gates,
            parity=verdict.checks.parity,
        ),
        *last,
        render(
            "verify/facts.html.j2",
            **vars(parts),
            interface=verdict.subject.exported.interface,
        ),
    ]
    footer = (
        "Made by kinemill from the exported ONNX files only. "
        "The numbers are in verification.json in this folder."
    )
    return html_page(f"{task}: verification", sections, footer)
