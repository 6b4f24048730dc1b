"""Sections of a report about the comparison with references, as HTML, from its document."""

import math
from collections.abc import Iterable
from dataclasses import replace
from html import escape

from kinemill.reports.charts import number
from kinemill.reports.components import card
from kinemill.reports.templates import render
from kinemill.verify.comparison import FREE_RUN, NRMSE
from kinemill.verify.document import Assessment
from kinemill.verify.findings import best_in, cells_of, compared_with, model_reference
from kinemill.verify.headline import Headline, headline
from kinemill.verify.losses import GROSS_WITHOUT_SKILL, SKILL
from kinemill.verify.phrases import amount, counted, evidence_words, label, less_or_more

DECISION = "<!-- kinemill:decision -->"  # the registry inserts the lines of the gate here
HEAD = ("<!-- kinemill:head -->", "<!-- /kinemill:head -->")
_KEY = (
    ("better", "significantly better than every reference"),
    ("even", "no significant difference"),
    ("behind", "worse, but not significantly among all comparisons, or within the margin"),
    ("worse", "a reference is significantly better: the gate refuses the model"),
    ("uncounted", "not counted by the gate: excluded by the task, or no reference predicts so far"),
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
    channels = _names(channel for _, channel in cells)
    windows = document.windows
    return render(
        "verify/comparison.html.j2",
        document=document,
        cells=cells,
        horizons=_names(horizon for horizon, _ in cells),
        channels=[*(name for name in channels if name != NRMSE), NRMSE],
        states={cell.state for cell in cells.values()},
        key=_KEY,
        skill=SKILL,
        dt=windows.seconds / (windows.horizon or 1),
        model=model_reference(document),
        compared=compared_with(document),
        channels_of=lambda comparisons: _names(
            channel for line in comparisons.values() for channel in line
        ),
        amount=amount,
        counted=counted,
        label=label,
        less_or_more=less_or_more,
    )


def _names(names: Iterable[str]) -> list[str]:
    """Return names without repetitions, in order."""
    return list(dict.fromkeys(names))


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
