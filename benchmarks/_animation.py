"""Animated pictures of runs for the docs: the links of the plant, from the states of the run."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from kinemill.control.plan import Floats

PANEL = 240  # px, width and height of one run
COLUMNS = 3
FINE = 2  # drawn so many times larger, for smooth lines
PAPER, INK, RAIL, JOINT = (255, 255, 255), (31, 78, 121), (190, 190, 190), (200, 80, 40)


def animate(runs: Sequence[Floats], dt: float, rate: float = 25.0) -> bytes:
    """Return a GIF of runs side by side.

    Args:
        runs: for each the ends of the links, (N, P, 2) m, x to the right, z up.
        dt: time between two rows, s.
        rate: pictures a second.
    """
    every = max(1, round(1.0 / (rate * dt)))
    frames = max(len(run) for run in runs)
    columns = min(COLUMNS, len(runs))
    size = columns * PANEL, -(-len(runs) // columns) * PANEL
    reach = 1.1 * max(float(np.nanmax(np.abs(run))) for run in runs)
    pictures = [_frame(runs, index, reach, size) for index in range(0, frames, every)]
    file = io.BytesIO()
    first, *rest = pictures
    # A GIF counts in hundredths of a second.
    last_frame_ms = max(20, 10 * round(100 * dt * every))
    first.save(
        file,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=last_frame_ms,
        loop=0,
        optimize=True,
    )
    return file.getvalue()


def _frame(runs: Sequence[Floats], index: int, reach: float, size: tuple[int, int]) -> Any:
    from PIL import Image, ImageDraw

    columns = size[0] // PANEL
    picture = Image.new("RGB", (size[0] * FINE, size[1] * FINE), PAPER)
    pen = ImageDraw.Draw(picture)
    for panel, run in enumerate(runs):
        row, column = divmod(panel, columns)
        middle = (np.array([column, row]) + 0.5) * PANEL * FINE
        ends = run[min(index, len(run) - 1)] * [1.0, -1.0] * (PANEL * FINE / 2 / reach) + middle
        _draw(pen, ends, middle)
    small = picture.resize(size, Image.Resampling.BOX)
    return small.quantize(colors=16, dither=Image.Dither.NONE)


def _draw(pen: Any, ends: Floats, middle: Floats) -> None:
    """Draw one plant: the rail through its first joint, its links, its joints."""
    half = 0.46 * PANEL * FINE
    pen.line([middle[0] - half, middle[1], middle[0] + half, middle[1]], fill=RAIL, width=FINE)
    x, y = ends[0]
    pen.rectangle([x - 9 * FINE, y - 5 * FINE, x + 9 * FINE, y + 5 * FINE], fill=INK)
    pen.line([tuple(end) for end in ends.tolist()], fill=INK, width=4 * FINE)
    for x, y in ends.tolist():
        pen.ellipse([x - 3 * FINE, y - 3 * FINE, x + 3 * FINE, y + 3 * FINE], fill=JOINT)
