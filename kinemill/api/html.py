"""HTML of results in a notebook: a table of facts, and figures."""

import base64
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinemill.reports.picture import Picture


def facts_table(title: str, facts: Mapping[str, object]) -> str:
    """Return a title and one row for each fact that is not None."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(_spell(value))}</td></tr>'
        for name, value in facts.items()
        if value is not None
    )
    return f"<b>{escape(title)}</b><table>{rows}</table>"


def image(figure: "Picture") -> str:
    """Return a figure as an inline image."""
    data = base64.b64encode(figure.png()).decode()
    return f'<img alt="figure" style="max-width:100%" src="data:image/png;base64,{data}">'


def _spell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)
