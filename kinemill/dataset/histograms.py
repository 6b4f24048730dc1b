"""Histograms of a dataset: the share of rows over the values of each channel."""

from collections.abc import Mapping

import numpy as np

from kinemill.dataset.packed import Packed, PackedDataset
from kinemill.reports.charts import Line, axis_label, line_chart

STYLES = {"train": "model", "validation": "linear", "test": "champion"}
_BINS = 40
SIZE = (340, 212)  # px of a chart


def histograms(packed: PackedDataset) -> dict[str, str]:
    """Return a chart by channel, inline SVG, with a line for each split that has episodes."""
    splits = {
        split: np.concatenate([packed.rows(episode) for episode in packed.of(split)])
        for split in STYLES
        if packed.of(split)
    }
    return {
        name: _chart(splits, column, axis_label(name, packed.units[name]))
        for column, name in enumerate(packed.columns)
    }


def _chart(splits: Mapping[str, Packed], column: int, label: str) -> str:
    values = {split: rows[:, column] for split, rows in splits.items()}
    low = min((float(rows.min()) for rows in values.values()), default=0.0)
    high = max((float(rows.max()) for rows in values.values()), default=1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    lines: list[Line] = []
    for split, rows in values.items():
        share = np.histogram(rows, edges)[0] / len(rows)
        # A staircase needs a value at the last edge as well.
        lines.append(Line(split, STYLES[split], edges, np.append(share, share[-1]), staircase=True))
    return line_chart(lines, labels=(label, "share of rows"), size=SIZE)
