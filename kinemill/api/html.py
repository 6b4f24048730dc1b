"""Results as text, and as HTML in a notebook: a title, a few facts, and a figure."""

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinemill.reports.picture import Picture


_LINES = 9  # facts of the text
_LENGTH = 100  # characters of a line


class Summarized(ABC):
    """A result that is shown as a title and facts, without its arrays."""

    @abstractmethod
    def _facts(self) -> tuple[str, Mapping[str, object]]:
        """Return the title, and values by name; those that are None are left out."""

    def __repr__(self) -> str:
        title, facts = self._facts()
        lines = [f"  {name}: {_spell(value)}" for name, value in facts.items() if value is not None]
        if len(lines) > _LINES:
            lines[_LINES - 1 :] = [f"  and {len(lines) - _LINES + 1} more"]
        return "\n".join(line[:_LENGTH] for line in (title, *lines))

    def _repr_html_(self) -> str:
        title, facts = self._facts()
        rows = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(_spell(value))}</td></tr>'
            for name, value in facts.items()
            if value is not None
        )
        return f"<b>{escape(title)}</b><table>{rows}</table>"


class Plotted(Summarized):
    """A result that also has a figure in a notebook."""

    @abstractmethod
    def plot(self) -> "Picture":
        """Return the figure."""

    def _repr_html_(self) -> str:
        return super()._repr_html_() + image(self.plot())


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
