"""Several charts as one self-contained SVG, for places without HTML."""

from collections.abc import Mapping, Sequence
from html import escape

from kinemill.reports.components import style

MOST = 12  # most charts
_TITLE = 18  # height of a title, px
_FONT = "text { font-family: system-ui, sans-serif; }"


def sheet(
    charts: Sequence[tuple[str, str]], size: tuple[int, int], columns: int, key: Mapping[str, str]
) -> str:
    """Arrange charts of equal size in a grid.

    Sizes are in px. `key` is the legend: color name of the style sheet and text.
    """
    width = size[0]
    height = size[1] + _TITLE
    parts = [
        f'<g transform="translate({index % columns * width},{index // columns * height})">'
        f'<text class="tick" x="10" y="13">{escape(title)}</text>'
        + chart.replace("<svg ", f'<svg y="{_TITLE}" width="{width}" height="{size[1]}" ', 1)
        + "</g>"
        for index, (title, chart) in enumerate(charts)
    ]
    down = -(-len(charts) // columns)
    whole = f'width="{min(columns, len(charts)) * width}" height="{down * height + _TITLE}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {whole}><style>{style()}{_FONT}</style>'
        '<rect width="100%" height="100%" style="fill:var(--card)"/>'
        f"{''.join(parts)}{_key(key, down * height + 13)}</svg>"
    )


def _key(key: Mapping[str, str], y: int) -> str:
    texts = ""
    x = 10
    for color, label in key.items():
        texts += f'<text class="tick" x="{x}" y="{y}" style="fill:var(--{color})">'
        texts += f"{escape(label)}</text>"
        x += 24 + 7 * len(label)
    return texts
