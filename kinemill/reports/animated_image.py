"""Animated images (WebP) from frames."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE, MOST, WIDE = 15.0, 150, 480  # largest frame rate, number of frames, and longer side, px


def animated_image(frames: NDArray[np.uint8], dt: float) -> bytes:
    """Return an animated WebP image in an endless loop, in real time.

    Images of more than WIDE px are made smaller.

    Args:
        frames: (N, H, W, 3) uint8.
        dt: time between two frames, s.
    """
    from PIL import Image

    every = max(1, round(1.0 / (RATE * dt)))
    frame_seconds = dt * every
    images: list[Any] = [Image.fromarray(frame) for frame in frames[::every][:MOST]]
    for picture in images:
        picture.thumbnail((WIDE, WIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    first, *rest = images
    duration = max(20, 10 * round(100 * frame_seconds))  # ms; browsers slow down shorter delays
    looped: dict[str, Any] = {"save_all": True, "append_images": rest, "loop": 0}
    first.save(file, "WEBP", duration=duration, quality=60, method=2, **looped)
    return file.getvalue()
