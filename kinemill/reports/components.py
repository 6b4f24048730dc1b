"""HTML components of reports: tables, cards, check marks, cells with bars."""

import importlib.resources
import re
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from kinemill.reports.charts import number
from kinemill.reports.control_characters import escape_page

_HEADING = re.compile(r'<h2(?: id="[^"]*")?>(.*?)</h2>', re.DOTALL)
_CONTENTS = re.compile(r'<nav class="contents".*?</nav>', re.DOTALL)
_FEWEST = 3  # least number of sections for a table of contents


def style() -> str:
    """Return the inline style sheet of all pages."""
    return importlib.resources.files("kinemill.reports").joinpath("page.css").read_text("utf-8")


def html_page(
    title: str, sections: Sequence[str], footer: str = "Created by kinemill.", css: str = ""
) -> str:
    """Return an HTML page without external links, with a table of contents of its sections."""
    return with_contents(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style()}{css}</style></head>"
        f"<body><main>{''.join(sections)}<footer>{footer}</footer></main></body></html>\n"
    )


def with_contents(page: str) -> str:
    """Return a page with an id for each `h2`, and a table of contents for three or more.

    Control characters are escaped here, for all pages.

    An existing table of contents is replaced, so sections can be added to a finished page.
    """
    links: dict[str, str] = {}

    def anchored(match: re.Match[str]) -> str:
        text = re.sub("<[^>]*>", "", match[1])
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"
        name = slug if slug not in links else f"{slug}-{len(links) + 1}"
        links[name] = text
        return f'<h2 id="{name}">{match[1]}</h2>'

    page = _HEADING.sub(anchored, _CONTENTS.sub("", escape_page(page)))
    if len(links) < _FEWEST:
        return page
    items = "".join(f'<a href="#{name}">{text}</a>' for name, text in links.items())
    contents = f'<nav class="contents" aria-label="Contents">{items}</nav>'
    return page.replace("<body>", f"<body>{contents}", 1)


def legend(styles: Mapping[str, str]) -> str:
    """Return the legend of the colors: text by style."""
    items = (
        f'<span><i class="edge-{style}"></i>{escape(text)}</span>' for style, text in styles.items()
    )
    return f'<div class="legend">{"".join(items)}</div>'


def figure(name: str, unit: str, chart: str) -> str:
    """Return a chart with name and unit above; a wide one scrolls, also by the keyboard."""
    focus = ' tabindex="0"' if 'class="wide"' in chart else ""
    caption = f'<span class="name">{escape(name)}</span><span class="unit">{escape(unit)}</span>'
    return f"<figure{focus}><figcaption>{caption}</figcaption>{chart}</figure>"


def card(what: str, big: str, small: str, more: str, tone: str = "") -> str:
    """Return a card with one large number; `tone` sets its color: `good` or `bad`."""
    return (
        f'<div class="card {tone}-card"><div class="what">{what}</div>'
        f'<div class="big">{big} <small>{small}</small></div><div class="more">{more}</div></div>'
    )


def mark(passed: bool, *, undecided: bool = False) -> str:
    """Return a check mark or a cross, or "undecided" for what too few data do not show."""
    if undecided:
        return '<b class="warning undecided">undecided</b>'
    return '<b class="good">✓</b>' if passed else '<b class="bad">✕</b>'


def name_of(name: str, after: str = "") -> str:
    """Return a name in bold, followed by gray text."""
    return f'<span class="name">{escape(name)}</span> <span class="unit">{escape(after)}</span>'


def error_cells(
    values: dict[str, float], intervals: dict[str, list[float]], *, worse: bool = False
) -> list[str]:
    """Return a cell for each model: error, bar and interval if known; the best in bold.

    Args:
        values: errors by model, `model` first.
        intervals: confidence intervals by model, if known.
        worse: whether another model is significantly better; `model` is then red.
    """
    finite = [value for value in values.values() if np.isfinite(value)]
    best = min(finite, default=0.0)
    most = max(finite, default=1.0) or 1.0
    cells: list[str] = []
    for name, value in values.items():
        low, high = intervals.get(name, [np.nan, np.nan])
        width = 100 * value / most if np.isfinite(value) else 100
        style = "best" if value == best else "bad" if worse and name == "model" else ""
        cells.append(
            f'<span class="{style}">{number(value)}</span>'
            f'<span class="bar fill-{name}" style="width:{width:.0f}%"></span>'
            + (
                f'<span class="interval">{number(low)} – {number(high)}</span>'
                if low <= high
                else ""
            )
        )
    return cells
