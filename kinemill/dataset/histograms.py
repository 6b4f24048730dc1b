"""What the rows of a dataset look like: the share of rows over the values of each channel."""

from collections.abc import Mapping
from html import escape

import numpy as np

from kinemill.dataset._packed import Packed, PackedDataset
from kinemill.drawing.charts import Line, line_chart
from kinemill.drawing.pieces import style

STYLES = {"train": "model", "validation": "linear", "test": "champion"}
_BINS = 40
_FONT = "text { font-family: system-ui, sans-serif; }"
_SIZE, _ACROSS, _TITLE, _MOST = (340, 190), 3, 18, 12  # px, charts in a row, px, charts on a sheet


def histograms(packed: PackedDataset) -> dict[str, str]:
    """Return a chart, inline SVG, by channel: a line for each split that has episodes."""
    splits = {
        split: np.concatenate([packed.rows(episode) for episode in packed.of(split)])
        for split in STYLES
        if packed.of(split)
    }
    return {name: _chart(splits, column) for column, name in enumerate(packed.columns)}


def histogram_sheet(packed: PackedDataset) -> str:
    """Return the charts of up to twelve channels as one SVG that stands for itself."""
    charts = list(histograms(packed).items())[:_MOST]
    width, height = _SIZE[0], _SIZE[1] + _TITLE
    parts = [
        f'<g transform="translate({index % _ACROSS * width},{index // _ACROSS * height})">'
        f'<text class="tick" x="10" y="13">{escape(f"{name}, {packed.units[name]}")}</text>'
        + chart.replace("<svg ", f'<svg y="{_TITLE}" width="{width}" height="{_SIZE[1]}" ', 1)
        + "</g>"
        for index, (name, chart) in enumerate(charts)
    ]
    across, down = min(_ACROSS, len(charts)), -(-len(charts) // _ACROSS)
    size = f'width="{across * width}" height="{down * height + _TITLE}"'
    key = "".join(
        f'<text class="tick" x="{10 + 80 * index}" y="{down * height + 13}" '
        f'style="fill:var(--{colour})">{split}</text>'
        for index, (split, colour) in enumerate(STYLES.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style()}{_FONT}</style>'
        f"{''.join(parts)}{key}</svg>"
    )


def _chart(splits: Mapping[str, Packed], column: int) -> str:
    values = {split: rows[:, column] for split, rows in splits.items()}
    low = min((float(rows.min()) for rows in values.values()), default=0.0)
    high = max((float(rows.max()) for rows in values.values()), default=1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    lines: list[Line] = []
    for split, rows in values.items():
        share = np.histogram(rows, edges)[0] / len(rows)
        held = np.append(share, share[-1])
        lines.append(Line(split, STYLES[split], edges, held, staircase=True))
    return line_chart(lines, size=_SIZE)
