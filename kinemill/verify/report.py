"""report.html: a page about a verified model or policy that needs no other files."""

from pathlib import Path

from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.store import publish_document
from kinemill.verify.comparison_sections import DECISION, verified_head
from kinemill.verify.document import VERIFICATION, Verification
from kinemill.verify.subject import KINDS, Subject


def write(subject: Subject, document: Verification, folder: Path) -> None:
    """Write verification.json, report.html and the files of the subject into `folder`."""
    publish_document(folder / VERIFICATION, document)
    (folder / "report.html").write_text(page(subject, document), encoding="utf-8")
    subject.write_files(folder)


def page(subject: Subject, document: Verification) -> str:
    """Return the report as one HTML document without external links."""
    interface = subject.exported.interface
    parts = KINDS[subject.kind].parts(subject, document)
    context = {
        "gates": document.gates,
        "parity": document.parity,
        "interface": interface,
        "head": verified_head(document),
        "decision": DECISION,
    }
    footer = (
        "Made by kinemill from the exported ONNX files only. "
        "The numbers are in verification.json in this folder."
    )
    body = render("verify/report.html.j2", **context, **vars(parts))
    return html_page(f"{interface.task}: verification", [body], footer)
