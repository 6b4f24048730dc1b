"""HTML components of reports: tables, cards, marks, cells with bars."""

import importlib.resources
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from kinemill.reports.charts import number


def style() -> str:
    """Return the style sheet that every page contains inline."""
    return importlib.resources.files("kinemill.reports").joinpath("page.css").read_text("utf-8")


def html_page(
    title: str, sections: Sequence[str], footer: str = "Made by kinemill.", css: str = ""
) -> str:
    """Return an HTML page without external links.

    Args:
        title: of the browser tab, plain text.
        sections: HTML.
        footer: HTML.
        css: rules in addition to the style sheet.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style()}{css}</style></head>"
        f"<body><main>{''.join(sections)}<footer>{footer}</footer></main></body></html>\n"
    )


def legend(styles: Mapping[str, str]) -> str:
    """Return the key to the colors: text by style."""
    items = (
        f'<span><i class="edge-{style}"></i>{escape(text)}</span>' for style, text in styles.items()
    )
    return f'<div class="legend">{"".join(items)}</div>'


def figure(name: str, unit: str, chart: str) -> str:
    """Return a chart with its name and unit above it."""
    caption = f'<span class="name">{escape(name)}</span><span class="unit">{escape(unit)}</span>'
    return f"<figure><figcaption>{caption}</figcaption>{chart}</figure>"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers_from: int = 99,
    *,
    even: bool = False,
    fixed: bool = False,
) -> str:
    """Return a table; columns from `numbers_from` on are right-aligned, equally wide if `even`.

    With `fixed` it is never wider than the page: long text breaks.
    """
    kinds = ["number" if index >= numbers_from else "text" for index in range(len(heads))]
    head = "".join(
        f'<th class="{kind}">{item}</th>' for item, kind in zip(heads, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{item}</td>' for item, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    style = ' class="even"' if even else ' class="wrapped"' if fixed else ""
    whole = f"<table{style}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="panel">{whole}</div>'


def card(what: str, big: str, small: str, more: str, tone: str = "") -> str:
    """Return a card with one big number; `tone` colors it: `good` or `bad`."""
    return (
        f'<div class="card {tone}-card"><div class="what">{what}</div>'
        f'<div class="big">{big} <small>{small}</small></div><div class="more">{more}</div></div>'
    )


def mark(passed: bool) -> str:
    """Return a tick or a cross."""
    return '<b class="good">✓</b>' if passed else '<b class="bad">✕</b>'


def name_of(name: str, after: str = "") -> str:
    """Return a name in bold, followed by gray text."""
    return f'<span class="name">{escape(name)}</span> <span class="unit">{escape(after)}</span>'


def error_cells(
    values: dict[str, float], intervals: dict[str, list[float]], *, worse: bool = False
) -> list[str]:
    """Return a cell for each model: error, bar and interval if known; the best in bold.

    Args:
        values: by model, `model` first.
        intervals: by model, where known.
        worse: whether another model is significantly better: `model` is red then.
    """
    finite = [value for value in values.values() if np.isfinite(value)]
    best, most = min(finite, default=0.0), max(finite, default=1.0) or 1.0
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
