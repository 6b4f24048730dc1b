"""Report page of a task: its champion, and the error of its versions over time."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

from kinemill.register import tags
from kinemill.register.gate.headline import headline_of
from kinemill.register.versions import CHAMPION, SHORT, Version
from kinemill.reports.charts import Line, line_chart, number
from kinemill.reports.components import card, figure, html_page, legend, mark, name_of, table
from kinemill.task.promote import RETURN
from kinemill.verify.comparison_sections import lead_section

_TONES = {"good": "good", "warning": "", "bad": "bad"}  # of a card
_LISTED = 200  # versions listed


def task_page(task: str, versions: Sequence[Version], address: Callable[[int], str] = str) -> str:
    """Return the page of a task as one HTML document.

    The versions are newest first; `address` returns the URL of a version's page.
    """
    head = f'<header><div><div class="eyebrow">Task</div><h1>{escape(task)}</h1></div></header>'
    if not versions:
        text = "<p>This task has no version yet: a run registers the first one.</p>"
        return html_page(f"{task}: versions", [head, text])
    sections = [
        head,
        _first(versions),
        f"<p>{_lead(versions)}</p>",
        _cards(versions),
        _course(versions),
        _list(versions, address),
    ]
    return html_page(f"{task}: versions", sections)


def tasks_page(tasks: Mapping[str, Sequence[Version]], address: Callable[[str], str]) -> str:
    """Return the page that lists the tasks with their champions."""
    rows = [
        [
            f'<a href="{escape(address(task))}">{name_of(task)}</a>',
            _of(_champion(versions)),
            _error(_champion(versions)),
            str(len(versions)),
        ]
        for task, versions in tasks.items()
    ]
    head = '<header><div><div class="eyebrow">kinemill</div><h1>Tasks</h1></div></header>'
    listed = table(["Task", "Champion", "nRMSE or return", "Versions"], rows, fixed=True)
    return html_page("Tasks", [head, listed])


def _champion(versions: Sequence[Version]) -> Version | None:
    return next((version for version in versions if CHAMPION in version.aliases), None)


def _of(version: Version | None) -> str:
    if version is None:
        return "none"
    kind = "provisional, " if version.provisional else ""
    return f"{kind}version {version.number}, {escape(version.created[:10])}"


def _nrmse(version: Version) -> float | None:
    """Return the error, or the return for a policy with trials in its environment."""
    value = version.metrics.by_name(_what(version)).get("model", math.nan)
    return value if math.isfinite(value) else None


def _what(version: Version | None) -> str:
    return RETURN if version is not None and version.metrics.returns else "nrmse"


def _title(versions: Sequence[Version]) -> str:
    return "return" if versions and _what(versions[0]) == RETURN else "nRMSE"


def _error(version: Version | None) -> str:
    value = _nrmse(version) if version else None
    return "–" if value is None else number(value)


def _first(versions: Sequence[Version]) -> str:
    """Return the lead: the champion, or the newest version if there is none."""
    version = _champion(versions) or next(iter(versions), None)
    return lead_section(headline_of(version)) if version else ""


def _lead(versions: Sequence[Version]) -> str:
    champion = _champion(versions)
    if champion is None:
        return "No version has passed the gate yet, so there is no champion."
    refused = sum(1 for version in versions if version.decision == "refused")
    more = f"; the gate refused {refused} of {len(versions)} versions" if refused else ""
    text = f"<b>version {champion.number}</b>, made {escape(champion.created[:10])}{more}."
    if champion.provisional:
        return f"Robots load {text} It is provisional: {escape(champion.provisional)}."
    return f"Robots load {text}"


def _cards(versions: Sequence[Version]) -> str:
    champion = _champion(versions)
    cards = [
        card("Champion", str(champion.number) if champion else "–", "", _of(champion)),
        _good(champion),
        card("Versions", str(len(versions)), "", "in the registry"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _good(champion: Version | None) -> str:
    """Return the card with the champion's error or return."""
    if _what(champion) == RETURN:
        return card("Return", _error(champion), "", "in trials")
    if champion is None:
        return card("Error, nRMSE", "–", "", "no champion")
    text = headline_of(champion)
    more = "a reference is better, or a rule failed" if text.tone == "bad" else "test recordings"
    return card("Error, nRMSE", _error(champion), "", more, _TONES[text.tone])


def _course(versions: Sequence[Version]) -> str:
    """Draw the error or return of all versions, and of the champion, by version."""
    points = [
        (version, error) for version in reversed(versions) if (error := _nrmse(version)) is not None
    ]
    if len(points) < 2:
        return ""
    numbers = np.array([float(version.number) for version, _ in points])
    errors = np.array([error for _, error in points])
    # Dots: a refused version follows no other one, and never acted.
    lines = [Line("versions", "model", numbers, errors, dots=True)]
    terms = [index for index, (version, _) in enumerate(points) if version.decision == CHAMPION]
    if terms:
        ends = np.append(numbers[terms], numbers[-1])
        steps = np.append(errors[terms], errors[terms][-1])
        lines.append(Line("champion", "champion", ends, steps, staircase=True))
    chart = line_chart(lines, labels=("version", _title(versions)), log=True)
    chart = figure(_title(versions), "", chart)
    key = legend({line.style: line.label for line in lines})
    return f'<h2>By version</h2>{key}<div class="grid">{chart}</div>'


def _list(versions: Sequence[Version], address: Callable[[int], str]) -> str:
    rows = [
        [
            f'<a href="{escape(address(version.number))}">{name_of(str(version.number))}</a>',
            escape(version.created[:16].replace("T", " ")),
            escape(version.status),
            f"<code>{version.tags.get(tags.DATASET, '')[:SHORT]}</code>",
            _why(version),
            _error(version),
        ]
        for version in versions[:_LISTED]
    ]
    heads = ["Version", "Made, UTC", "Is", "Dataset", "Gate", _title(versions)]
    return f"<h2>Versions</h2>{table(heads, rows, fixed=True)}"


def _why(version: Version) -> str:
    failed = [line.rule for line in version.gate if not line.passed]
    if version.decision is None:
        return ""
    if version.provisional:
        return f"{mark(False, undecided=True)} {escape(', '.join(failed))}"
    return f"{mark(not failed)} {escape(', '.join(failed))}"
