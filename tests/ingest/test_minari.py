"""Minari data sets, written as the published layout says: `data/main_data.hdf5`, plain HDF5.

A group `episode_N` each, with `observations` of T + 1 rows, `actions`, `rewards`, `terminations`,
and `truncations` of T, and `infos`; spaces that are dictionaries or tuples are groups.
"""

from pathlib import Path

import h5py
import numpy as np

from kinemill.draft.builder import draft
from kinemill.task import load_task

STEPS = 60


def write(folder: Path) -> Path:
    """Write a data set of 30 episodes whose observations are vectors."""
    path = folder / "reach" / "test-v0" / "data" / "main_data.hdf5"
    path.parent.mkdir(parents=True)
    (path.parent / "metadata.json").write_text('{"total_episodes": 30, "data_format": "hdf5"}')
    with h5py.File(path, "w") as file:
        file.attrs["total_episodes"] = 30
        for number in range(30):
            group = file.create_group(f"episode_{number}")
            group.attrs.update({"id": number, "seed": number, "total_steps": STEPS})
            group["observations"] = np.cumsum(np.ones((STEPS + 1, 3)), axis=0) + 1000 * number
            group["actions"] = np.full((STEPS, 2), 0.5) * np.arange(STEPS)[:, None]
            group["rewards"] = np.zeros(STEPS)
            group["terminations"] = np.zeros(STEPS, dtype=bool)
            group["truncations"] = np.arange(STEPS) == STEPS - 1
            group["infos/success"] = np.zeros(STEPS + 1, dtype=bool)
    return path


def test_a_draft_knows_observations_from_actions_and_leaves_rewards_out(tmp_path):
    path = write(tmp_path / "drop")
    (tmp_path / "reach.yaml").write_text(draft("reach", path, 50.0))
    text = (tmp_path / "reach.yaml").read_text()
    task = load_task(tmp_path / "reach.yaml")
    assert (task.dt, task.ingest.rate) == (0.02, 50.0)
    # Three elements count alike, and so do both actions: each is kept once.
    assert [task.channels[name].source[0].name for name in task.columns] == [
        "observations[0]", "actions[0]",
    ]  # fmt: skip
    assert "rewards" in text
    assert "terminations" in text
    assert (task.dataset.group_by, task.dataset.test) == ("part", 0.2)
