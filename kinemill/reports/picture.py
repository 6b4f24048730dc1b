"""Figures without a display, written to files or displayed by notebooks as PNG; thumbnails."""

from collections.abc import Mapping
from html import escape
from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kinemill.reports.charts import thinned

DPI = 110
WIDTH, HEIGHT = 200, 34  # px, width and height of one channel
POINTS = 80  # pixel columns of a curve


class Picture(Figure):
    """A matplotlib figure without a window, which does not change settings of matplotlib.

    Args:
        size: width and height, inches.
        layout: layout engine of matplotlib, or None.
    """

    def __init__(self, size: tuple[float, float], layout: str | None = None) -> None:
        super().__init__(figsize=size, layout=layout)  # pyright: ignore[reportArgumentType]
        FigureCanvasAgg(self)

    def png(self) -> bytes:
        """Return the figure as PNG; equal figures have equal bytes."""
        file = BytesIO()
        # No creation date or version in the file.
        self.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()


def thumbnail(seconds: NDArray[np.float64], channels: Mapping[str, NDArray[np.float64]]) -> str:
    """Return an SVG with curves below each other, each scaled to its range.

    Args:
        seconds: time of each row (n,), s.
        channels: values (n,) by name; NaN is a gap.
    """
    curves = [
        f'<path class="line value" d="{_path(seconds, values, HEIGHT * number)}">'
        f"<title>{escape(name)}</title></path>"
        for number, (name, values) in enumerate(channels.items())
    ]
    label = f"{', '.join(channels)} over time"
    size = f'viewBox="0 0 {WIDTH} {HEIGHT * len(channels)}"'
    return f'<svg class="thumbnail" {size} role="img" aria-label="{escape(label)}">' + (
        "".join(curves) + "</svg>"
    )


def _path(seconds: NDArray[np.float64], values: NDArray[np.float64], top: int) -> str:
    """Return the curve of (n,) values as a path; empty without a finite value."""
    time, drawn = thinned(seconds, values, POINTS)
    finite = drawn[np.isfinite(drawn)]
    if not len(finite):
        return ""
    low, extent = float(finite.min()), float(np.ptp(finite)) or 1.0
    length = float(np.ptp(time)) or 1.0
    x = 1.0 + (WIDTH - 2.0) * (time - time[0]) / length
    y = top + HEIGHT - 3.0 - (HEIGHT - 6.0) * (drawn - low) / extent
    steps, pen_down = list[str](), False
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        if np.isfinite(py):
            steps.append(f"{'L' if pen_down else 'M'}{px:.1f} {py:.1f}")
        pen_down = bool(np.isfinite(py))
    return "".join(steps)
