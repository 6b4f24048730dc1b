"""Animations as inline SVG, without scripts and downloads, in the colors of the page."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PANEL = 240
COLUMNS = 3  # px, width and height of one run; runs per row
RATE = 25.0  # keyframes per second; browsers interpolate
HALF = PANEL / 2

# Markers of the first point and of the other points.
_MARKS = (
    '<defs><marker id="cart" markerUnits="userSpaceOnUse" markerWidth="20" markerHeight="12" '
    'refX="10" refY="6"><rect class="link" x="1" y="1" width="18" height="10"/></marker>'
    '<marker id="joint" markerUnits="userSpaceOnUse" markerWidth="8" markerHeight="8" '
    'refX="4" refY="4"><circle class="joint" cx="4" cy="4" r="3"/></marker></defs>'
)


def animated_links(runs: Sequence[NDArray[np.float64]], dt: float, label: str) -> str:
    """Draw runs of links side by side, each in an endless loop.

    A run ends before its first row that is not finite.

    Args:
        runs: ends of the links of each run, (N, P, 2) m, x to the right, z up.
        dt: time between two rows, s.
        label: description for screen readers.
    """
    finite_runs = [run[: _finite(run)] for run in runs]
    columns = min(COLUMNS, len(finite_runs))
    width = columns * PANEL
    height = -(-len(finite_runs) // columns) * PANEL
    reach = 1.1 * max((float(np.abs(run).max()) for run in finite_runs if len(run)), default=1.0)
    stride = max(1, round(1.0 / (RATE * dt)))
    panels = [
        f'<g transform="translate({index % columns * PANEL + HALF:g},'
        f'{index // columns * PANEL + HALF:g})">{_panel(run, stride, dt, reach or 1.0)}</g>'
        for index, run in enumerate(finite_runs)
    ]
    return (
        f'<svg class="moving" viewBox="0 0 {width} {height}" style="max-width:{width}px" '
        f'role="img" aria-label="{label}">{_MARKS}{"".join(panels)}</svg>'
    )


def _finite(run: NDArray[np.float64]) -> int:
    """Return the number of rows before the first that is not finite."""
    lost = ~np.isfinite(run).all(axis=(1, 2))
    return int(lost.argmax()) if lost.any() else len(run)


def _panel(run: NDArray[np.float64], stride: int, dt: float, reach: float) -> str:
    """Draw one run: the rail through its first joint, its links, and a time bar."""
    if not len(run):
        return ""
    points = np.rint(run[::stride] * [1.0, -1.0] * (10.0 * HALF / reach)) / 10.0 + 0.0  # no -0
    frames = [" ".join(f"{x:g},{z:g}" for x, z in ends) for ends in points.tolist()]
    seconds = max(1, len(frames) - 1) * stride * dt
    start = -0.92 * HALF
    end = 0.92 * HALF
    low = 0.95 * HALF
    timing = f'dur="{seconds:g}s" repeatCount="indefinite"'
    return (
        f'<line class="rail" x1="{start:g}" y1="0" x2="{end:g}" y2="0"/>'
        f'<line class="clock" x1="{start:g}" y1="{low:g}" x2="{start:g}" y2="{low:g}">'
        f'<animate attributeName="x2" values="{start:g};{end:g}" {timing}/></line>'
        f'<polyline class="link" points="{frames[0]}" marker-start="url(#cart)" '
        f'marker-mid="url(#joint)" marker-end="url(#joint)">'
        f'<animate attributeName="points" values="{";".join(frames)}" {timing}/></polyline>'
    )
