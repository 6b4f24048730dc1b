"""The decision on paper: the verdict, line by line, in JSON, in the report and in markdown."""

import html
import json
from collections.abc import Sequence
from pathlib import Path

from kinemill.drawing.pieces import mark, name_of, table
from kinemill.home import Home
from kinemill.register.rules import Value, Verdict
from kinemill.register.ruling import failed_causes
from kinemill.store import Json, Outcome, once
from kinemill.verify.headline import Headline, Ruling, ruling_words

MARKER = "<!-- kinemill:decision -->"  # where the report of `verify` leaves room for the verdict
VERSION = 3


def make_decision(home: Home, facts: Json, verdicts: Sequence[Verdict], bundle: Path) -> Outcome:
    """Publish `decision.json` and the report with the verdict in it.

    Args:
        home: where the store lives.
        facts: task, version, decision and what else belongs into `decision.json`.
        verdicts: the gate's lines.
        bundle: folder of the bundle, whose report is completed.
    """
    content = {**facts, "gate": [verdict.to_json() for verdict in verdicts]}

    def build(folder: Path) -> Json:
        (folder / "decision.json").write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
        page = (bundle / "report.html").read_text(encoding="utf-8")
        (folder / "report.html").write_text(
            insert(page, section(facts, verdicts)), encoding="utf-8"
        )
        return content

    return once(home, "decision", facts["task"], {**content, "code": VERSION}, build)


def insert(page: str, piece: str) -> str:
    """Put `piece` where the marker is, else before the foot of the page, else at the end."""
    for place in (MARKER, "<footer", "</body>"):
        if place in page:
            before, _, after = page.rpartition(place)
            return f"{before}{piece}{'' if place == MARKER else place}{after}"
    return page + piece


def section(facts: Json, verdicts: Sequence[Verdict]) -> str:
    """Return the decision as HTML."""
    rows = [
        [
            mark(item.passed),
            name_of(item.rule),
            html.escape(show_value(item.found)),
            html.escape(show_value(item.wanted)),
        ]
        for item in verdicts
    ]
    lines = table(["", "Rule", "Found", "Wanted"], rows, fixed=True)
    told = headline(facts, verdicts)
    return (
        f'<section id="decision"><h2>Decision of the gate</h2><p class="{told.tone}">'
        f"{html.escape(told.text)}</p>{lines}</section>\n"
    )


def markdown(facts: Json, verdicts: Sequence[Verdict], performance: str) -> str:
    """Return a version's description: first line, decision, and the gate's lines.

    Args:
        facts: see `make_decision`.
        verdicts: the gate's lines.
        performance: the sentence about errors and the best reference.
    """
    rows = [
        f"| {item.rule} | {'yes' if item.passed else '**no**'} | {show_value(item.found)} "
        f"| {show_value(item.wanted)} |"
        for item in verdicts
    ]
    head = ["| rule | passed | found | wanted |", "|---|---|---|---|"]
    first = f"**{headline(facts, verdicts).text}** {performance}".strip()
    return "\n".join([first, "", *head, *rows])


def headline(facts: Json, verdicts: Sequence[Verdict]) -> Headline:
    """Return the decision as one sentence."""
    gate = [verdict.to_json() for verdict in verdicts]
    return ruling_words(
        Ruling(
            facts["decision"],
            failed_causes(gate),
            provisional=bool(facts.get("provisional")),
            address=f"{facts['task']}:{facts['version']}",
            champion=facts["previous_champion"],
        )
    )


def line(verdict: Verdict) -> str:
    """Return one verdict as the text of a tag."""
    found, wanted = show_value(verdict.found), show_value(verdict.wanted)
    return f"{'passed' if verdict.passed else 'refused'}: found {found}, wanted {wanted}"


def show_value(value: Value) -> str:
    """Spell a number to six digits, text as it is."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
