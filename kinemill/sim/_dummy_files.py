"""Synthetic logs with images and texts, as HDF5 in the layout of robot learning data sets.

`time`; `observations/`, `actions/`, `rewards/` and `images/` with one data set for each channel;
texts are attributes. In an image, the position of a disc shows the first two states within their
range, and the length of a bar shows the first action, so a policy can learn from the image.
"""

import io

import numpy as np
from numpy.typing import NDArray

from kinemill.sim._dummy_settings import Dummy
from kinemill.sim._table import Table
from kinemill.task import Task

SIZE = (64, 64)  # default height and width
RADIUS = 0.12  # of the disc, over the height
GROUPS = {"action": "actions", "reward": "rewards", "image": "images"}

Floats = NDArray[np.float64]


def source(name: str, task: Task) -> str:
    """Return where a dummy log keeps a channel."""
    role = task.channels[name].role
    if not task.media:
        return name
    return f"@{name}" if role == "text" else f"{GROUPS.get(role, 'observations')}/{name}"


def hdf5(task: Task, dummy: Dummy, number: int, table: Table, random: np.random.Generator) -> bytes:
    """Return the bytes of one episode.

    Args:
        task: names the channels.
        dummy: size of pictures, and the instructions.
        number: of the episode, which has its turn of the instructions.
        table: `time` and each number (n,).
        random: the episode's own.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["time"] = table["time"]
        for name in task.numbers:
            file[source(name, task)] = table[name]
        for name in task.media:
            channel = task.channels[name]
            if channel.role == "text":
                file.attrs[name] = dummy.instructions[number % len(dummy.instructions)]
            else:
                size = dummy.image or (channel.shape[:2] if channel.shape else SIZE)
                frames = _pictures(task, table, size, random)
                file.create_dataset(source(name, task), data=frames, chunks=(1, *frames.shape[1:]))
    return buffer.getvalue()


def _pictures(
    task: Task, table: Table, size: tuple[int, int], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Return (n, height, width, 3): disc and bar before a background of the episode's own."""
    height, width = size
    axes = [_within(table[name]) for name in [*task.states, *task.states][:2]]
    down, right = np.linspace(0.0, 1.0, height)[:, None], np.linspace(0.0, 1.0, width)[None]
    frames = np.empty((len(axes[0]), height, width, 3), np.uint8)
    frames[:] = random.integers(40, 120, 3).astype(np.uint8)
    bar = _within(table[task.actions[0]]) if task.actions else None
    for row, (x, y) in enumerate(zip(*axes, strict=True)):
        frames[row][np.hypot(right - x, down - y) < RADIUS] = (220, 180, 60)
        if bar is not None:
            frames[row][(down > 0.95) & (right < bar[row])] = (60, 90, 230)
    return frames


def _within(signal: Floats) -> Floats:
    """Return (n,) moved and scaled into 0.15 to 0.85 of the picture."""
    span = max(float(np.ptp(signal)), 1e-12)
    return 0.15 + 0.7 * (signal - signal.min()) / span
