"""Sections of a report about the comparison with references, as HTML, from its document."""

import math
from dataclasses import replace
from html import escape

from kinemill.reports.charts import number
from kinemill.reports.components import card, name_of, table
from kinemill.selection.reference_facts import MemberFacts
from kinemill.verify.comparison import FREE_RUN, NRMSE, Comparison, Comparisons
from kinemill.verify.document import Assessment
from kinemill.verify.findings import Cell, best_in, cells_of, compared_with, own_reference
from kinemill.verify.headline import Headline, headline
from kinemill.verify.losses import GROSS_WITHOUT_SKILL, SKILL
from kinemill.verify.phrases import (
    amount,
    counted,
    evidence_words,
    label,
    less_or_more,
)

DECISION = "<!-- kinemill:decision -->"  # the registry inserts the lines of the gate here
HEAD = ("<!-- kinemill:head -->", "<!-- /kinemill:head -->")
_KEY = (
    ("better", "significantly better than every reference"),
    ("even", "no significant difference"),
    ("behind", "worse, but not significantly among all comparisons, or within the margin"),
    ("worse", "a reference is significantly better: the gate refuses the model"),
    ("uncounted", "not counted"),
)


def verified_head(document: Assessment) -> str:
    """Return the head of a verification: green if all checks passed and no reference is better."""
    text = headline(document)
    passed = document.passed
    worse = "A reference is better" if passed and text.tone == "bad" else ""
    title = worse or ("Verified" if passed else "Not verified")
    return head_section(replace(text, tone="good") if text.tone == "warning" else text, title)


def head_section(text: Headline, title: str) -> str:
    """Return the badge of a page and its first line, between the two comments of `HEAD`.

    The registry replaces this part with its decision, see
    `kinemill.register.gate.decision_document`.
    """
    sign = {"good": "✓", "warning": "…", "bad": "✕"}[text.tone]
    badge = f'<div class="verdict {text.tone}">{sign} {escape(title)}</div></header>'
    return f"{HEAD[0]}{badge}{lead_section(text)}{HEAD[1]}"


def lead_section(text: Headline) -> str:
    """Return the headline of a page, colored by its tone."""
    verdict = f" <b>{escape(text.verdict)}</b>" if text.verdict else ""
    return f'<p class="lead {text.tone}-lead">{escape(text.performance)}{verdict}</p>'


def comparison_section(document: Assessment) -> str:
    """Return the table of comparisons with the best reference, by horizon and channel."""
    cells = cells_of(document)
    if not cells:
        return ""
    horizons = list(dict.fromkeys(horizon for horizon, _ in cells))
    channels = list(dict.fromkeys(channel for _, channel in cells))
    rows = [
        [
            _channel_name(channel, document),
            *(_cell(cells.get((horizon, channel))) for horizon in horizons),
        ]
        for channel in [*(name for name in channels if name != NRMSE), NRMSE]
    ]
    heads = ["Channel", *(_head(horizon, document) for horizon in horizons)]
    states = {cell.state for cell in cells.values()}
    key = "".join(
        f'<span><i class="state {state}"></i>{text}</span>'
        for state, text in _KEY
        if state in states
    )
    return (
        "<h2>Comparison with the best reference</h2><p>Error of this model / error of the best "
        "reference at each horizon and on each channel: below 1, this model is better. The 95 % "
        "interval and the reference follow."
        f"{_counting(states, document)}{_left_out(document)}</p>"
        f'<div class="legend">{key}</div>'
        + table(heads, rows, numbers_from=1, even=True)
        + _every_reference(document)
    )


def best_card(document: Assessment) -> str:
    """Return the card about the best reference, red if the reference is better than the model."""
    best = best_in(document)
    if best is None:
        return card("Best reference", "–", "", "no reference stays finite")
    comparison = document.comparison(best)
    if comparison is None:
        return card(f"Against {label(best)}", "–", "× its error", "", "")
    low = comparison.low
    high = comparison.high
    ratio = comparison.ratio
    more = evidence_words(comparison)
    tone = "bad" if low > 1.0 else "good" if high < 1.0 else ""
    big = number(ratio) if math.isfinite(ratio) else "–"
    return card(f"Against {label(best)}", big, "× its error", escape(more), tone)


def horizons_card(document: Assessment) -> str:
    """Return the card with the number of comparisons in which a reference is better."""
    cells = [cell for cell in cells_of(document).values() if cell.state != "uncounted"]
    worse = sum(cell.state == "worse" for cell in cells)
    better = sum(cell.state == "better" for cell in cells)
    tone = "bad" if worse else "good" if better == len(cells) else ""
    text = f"of {len(cells)} comparisons over horizons and channels"
    if worse:
        return card("Worse than a reference", str(worse), "", text, tone)
    return card("Better than every reference", str(better), "", text, tone)


def free_run_text(document: Assessment) -> str:
    """Describe the channels whose whole episodes do not fully count in the gate, and why."""
    cells = [cell for (horizon, _), cell in cells_of(document).items() if horizon == FREE_RUN]
    uncounted = [
        cell.channel for cell in cells if cell.state == "uncounted" and cell.channel != NRMSE
    ]
    if not uncounted:
        return ""
    return (
        f" On {escape(', '.join(uncounted))} no reference predicts whole episodes (error above "
        f"{SKILL:g} training standard deviations). There the gate counts only an error above "
        f"{GROSS_WITHOUT_SKILL:g} times that of the best reference."
    )


def _head(horizon: str, document: Assessment) -> str:
    if horizon == FREE_RUN:
        return "free run"
    steps = int(horizon)
    windows = document.windows
    dt = windows.seconds / (windows.horizon or 1)
    after = f"<span class='interval'>{amount(steps * dt)} s</span>" if math.isfinite(dt) else ""
    return f"{counted(steps, 'steps')}{after}"


def _channel_name(channel: str, document: Assessment) -> str:
    if channel == NRMSE:
        return name_of("nRMSE", "mean over channels")
    line = document.metrics.test.get(channel)
    return name_of(channel, line.unit if line else "")


def _cell(cell: Cell | None) -> str:
    """Return ratio, interval and name of the reference, colored by the state of the comparison."""
    if cell is None:
        return '<span class="state">–</span>'
    comparison = cell.comparison
    ratio = f"{number(comparison.ratio)} ×" if math.isfinite(comparison.ratio) else "diverges"
    inside = _interval(comparison)
    text = f"{less_or_more(comparison.ratio)} {label(cell.reference)}"
    return (
        f'<span class="state {cell.state}" title="{escape(text)}">{ratio}</span>'
        f'<span class="interval">{inside or "no interval"}</span>'
        f'<span class="interval">{escape(label(cell.reference))}</span>'
    )


def _interval(comparison: Comparison) -> str:
    if not math.isfinite(comparison.high):
        return ""
    return f"{number(comparison.low)} – {number(comparison.high)}"


def _counting(states: set[str], document: Assessment) -> str:
    """Describe which comparisons count in the gate."""
    if document.counted and not document.counted.horizons:
        return " The gate does not count them: the episodes in the environment decide."
    text = (
        " The gate counts each of them, except those that promote.horizons and promote.channels of "
        "the task leave out."
    )
    if "uncounted" in states:
        text += (
            " In free run it does not count a channel on which the error of the best reference is "
            f"above {SKILL:g} training standard deviations, because no model predicts so far."
        )
    return text


def _left_out(document: Assessment) -> str:
    notes = {name: line.note for name, line in document.metrics.test.items() if line.note}
    return "".join(f" <b>{escape(name)}</b> is {escape(note)}." for name, note in notes.items())


def _every_reference(document: Assessment) -> str:
    """Return the selection of each reference and all comparisons with it, collapsed."""
    compared = compared_with(document)
    tables = "".join(_one_reference(name, comparisons) for name, comparisons in compared.items())
    selection = _selection(document)
    return (
        f"<details><summary>Selection of each reference, and every comparison</summary>"
        f"{selection}{tables}</details>"
    )


def _one_reference(name: str, comparisons: Comparisons) -> str:
    horizons = list(comparisons)
    channels = list(dict.fromkeys(channel for line in comparisons.values() for channel in line))
    rows = [
        [
            name_of("nRMSE" if channel == NRMSE else channel),
            *(_comparison_cell(comparisons[horizon].get(channel)) for horizon in horizons),
        ]
        for channel in channels
    ]
    heads = ["Channel", *("free run" if h == FREE_RUN else f"{h} steps" for h in horizons)]
    return f"<h3>{escape(label(name))}</h3>" + table(heads, rows, numbers_from=1, even=True)


def _comparison_cell(comparison: Comparison | None) -> str:
    if comparison is None or not math.isfinite(comparison.ratio):
        return "–"
    style = "bad" if comparison.low > 1.0 else "good" if comparison.high < 1.0 else ""
    inside = _interval(comparison)
    ratio = number(comparison.ratio)
    return f'<span class="{style}">{ratio}</span><span class="interval">{inside}</span>'


def _selection(document: Assessment) -> str:
    """Return the selected members of each family, and the families that were left out."""
    references = document.references
    reference = own_reference(document)
    if references is None:
        return ""
    rows: list[list[str]] = []
    for name, member in references.families.items():
        about = "this model" if name == reference else ""
        rows.append([name_of(label(name), about), *_facts(member)])
    for name, why in references.left_out.items():
        rows.append([name_of(label(name)), f"left out: {escape(why)}", "–", "–"])
    if not rows:
        return ""
    heads = ["Reference", "Settings", "Score", "Error at the horizon"]
    left_out = escape(references.left_out_rows)
    text = (
        f"<p>Fitted on training rows; selected by their score on {left_out}, without test rows. "
        "Errors are in standard deviations.</p>"
    )
    return text + table(heads, rows, numbers_from=2, fixed=True)


def _facts(member: MemberFacts) -> list[str]:
    settings = [f"history {member.history}"]
    if member.ridge is not None:
        settings.append(f"ridge {member.ridge:g}")
    if not member.stable:
        settings.append("diverges in free run")
    return [escape(", ".join(settings)), number(member.score), number(member.error)]
