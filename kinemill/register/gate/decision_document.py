"""Document of a gate decision: all verdicts in JSON, in the HTML report and in markdown."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kinemill.register.decision import DECISION_FILE, Decision, DecisionFacts
from kinemill.register.gate.headline import failed_causes
from kinemill.register.gate.rules import Value, Verdict
from kinemill.reports.components import with_contents
from kinemill.reports.templates import render
from kinemill.store import Artifact, Home, Json, get_or_build, publish_document, to_json_value
from kinemill.verify.comparison_sections import DECISION as MARKER
from kinemill.verify.comparison_sections import HEAD, head_section
from kinemill.verify.headline import GateDecision, Headline, decision_text

VERSION = 6


def make_decision(
    home: Home,
    facts: DecisionFacts,
    verdicts: Sequence[Verdict],
    bundle: Path,
    performance: str = "",
) -> Artifact:
    """Publish `decision.json` and the report with the decision."""
    text = headline(facts, verdicts, performance)
    decision = Decision(**vars(facts), headline=text.text, gate=list(verdicts))
    content: Json = to_json_value(decision)

    def build(folder: Path) -> Json:
        publish_document(folder / DECISION_FILE, decision)
        page = (bundle / "report.html").read_text(encoding="utf-8")
        badge = f"{'provisional ' * bool(facts.provisional)}{facts.decision}".capitalize()
        page = retitle(page, text, badge)
        (folder / "report.html").write_text(
            insert(page, section(facts, verdicts)), encoding="utf-8"
        )
        return content

    return get_or_build(home, "decision", facts.task, {**content, "code": VERSION}, build)


def insert(page: str, piece: str) -> str:
    """Insert `piece` at the marker, else before the footer, else at the end of the page."""
    for marker in (MARKER, "<footer", "</body>"):
        if marker in page:
            head, _, after = page.rpartition(marker)
            return with_contents(f"{head}{piece}{'' if marker == MARKER else marker}{after}")
    return page + piece


def retitle(page: str, text: Headline, badge: str) -> str:
    """Replace the badge and headline of the verification with those of the decision."""
    head, start, rest = page.partition(HEAD[0])
    _, end, after = rest.partition(HEAD[1])
    return f"{head}{head_section(text, badge)}{after}" if start and end else page


def section(facts: DecisionFacts, verdicts: Sequence[Verdict]) -> str:
    """Return the decision as HTML."""
    text = headline(facts, verdicts).verdict
    return render("register/gate/decision.html.j2", text=text, verdicts=verdicts)


def markdown(facts: DecisionFacts, verdicts: Sequence[Verdict], performance: str) -> str:
    """Return a version's description in markdown: performance, decision, and where more is."""
    text = headline(facts, verdicts, performance)
    more = f"`kinemill model why {facts.task}:{facts.version}` explains the decision"
    report = f"`{report_folder(facts.version)}/report.html` of the run has all measurements"
    return f"{text.performance} **{text.verdict}**\n\n{more}; {report}.".strip()


def report_folder(version: int) -> str:
    """Return the folder of a version's report in the artifacts of its run."""
    return f"version-{version}"


def headline(facts: DecisionFacts, verdicts: Sequence[Verdict], performance: str = "") -> Headline:
    """Return the headline: performance of the model and decision."""
    decision = GateDecision(
        facts.decision,
        failed_causes(verdicts),
        provisional=facts.provisional,
        address=f"{facts.task}:{facts.version}",
        champion=facts.previous_champion,
    )
    return replace(decision_text(decision), performance=performance)


def show_value(value: Value) -> str:
    """Format a number with four digits; return text unchanged."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
