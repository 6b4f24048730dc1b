"""Demonstrations that tests write: a tool that moves to a target, in HDF5."""

from pathlib import Path

import h5py
import numpy as np

ROWS = 60
DIRECTIONS = ("to the left", "to the right")


def write_demonstrations(
    folder: Path, count: int = 4, *, image: bool = False, texts: tuple[str, ...] = ()
) -> Path:
    """Write one file for each demonstration, 20 Hz.

    The action is 2/s of the distance to the target, m/s, plus white noise of 1 cm/s.
    """
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        target, position = random.uniform(-0.5, 0.5, 2), random.uniform(-0.5, 0.5, 2)
        positions, actions = [], []
        for _ in range(ROWS):
            action = 2.0 * (target - position) + random.normal(0.0, 0.01, 2)
            positions.append(position)
            actions.append(action)
            position = position + 0.05 * action
        with h5py.File(folder / f"demo_{number:02}.h5", "w") as file:
            file.attrs["fps"] = 20.0
            group = file.create_group("episode_0")
            group["observations/place"] = np.array(positions)
            group["observations/target"] = np.tile(target, (ROWS, 1))
            group["actions"] = np.array(actions)
            if image:
                pixels = random.integers(0, 255, (ROWS, 24, 32, 3), dtype=np.uint8)
                group["observations/images/camera"] = pixels
            if texts:
                group.attrs["language"] = texts[number % len(texts)]
    return folder
