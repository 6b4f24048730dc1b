"""Minari data sets, written as the published layout says: `data/main_data.hdf5`, plain HDF5.

A group `episode_N` each, with `observations` of T + 1 rows, `actions`, `rewards`, `terminations`,
and `truncations` of T, and `infos`; spaces that are dictionaries or tuples are groups.
"""

import h5py
import numpy as np
import pytest

from kinemill.draft.builder import draft
from kinemill.draft.schema_inference import survey
from kinemill.ingest import stage as ingest
from kinemill.task import load_task
from tests.conftest import load_task_in

STEPS = 60
TASK = """
task: reach
dt: 0.02
channels:
  x: {role: state, unit: m, source: %s}
  push: {role: action, unit: N, source: "actions[0]"}
ingest: {rate: 50.0, min_file_age: 0.0}
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.fixture
def minari(logs):
    """Write a data set of episodes; observations are a vector, or by name as in a dictionary."""

    def write(count: int = 3, *, nested: bool = False, steps: int = STEPS):
        folder = logs / "reach" / "test-v0" / "data"
        folder.mkdir(parents=True)
        (folder / "metadata.json").write_text('{"total_episodes": 3, "data_format": "hdf5"}')
        with h5py.File(folder / "main_data.hdf5", "w") as file:
            file.attrs["total_episodes"] = count
            for number in range(count):
                group = file.create_group(f"episode_{number}")
                group.attrs.update({"id": number, "seed": number, "total_steps": steps})
                observations = np.cumsum(np.ones((steps + 1, 3)), axis=0) + 1000 * number
                if nested:
                    group["observations/achieved_goal"] = observations
                    group["observations/observation"] = -observations
                else:
                    group["observations"] = observations
                group["actions"] = np.full((steps, 2), 0.5) * np.arange(steps)[:, None]
                group["rewards"] = np.zeros(steps)
                group["terminations"] = np.zeros(steps, dtype=bool)
                group["truncations"] = np.arange(steps) == steps - 1
                group["infos/success"] = np.zeros(steps + 1, dtype=bool)
        return folder / "main_data.hdf5"

    return write


def load(tmp_path, source):
    return load_task_in(tmp_path, TASK % source)


@pytest.mark.parametrize(
    ("nested", "source", "first"),
    [(False, '"observations[1]"', 1.0), (True, '"observations/observation[1]"', -1.0)],
)
def test_episodes_are_parts_without_the_last_observation(
    minari, tmp_path, home, nested, source, first
):
    minari(nested=nested)
    report = ingest.run(load(tmp_path, source), home, tmp_path / "drop")
    assert report.artifact.summary == {
        "recordings": 1, "quarantined": 0, "tracks": 3, "rows": 3 * STEPS, "dropped_rows": 3,
    }  # fmt: skip
    (entry,) = report.files
    assert [item["check"] for item in entry["reasons"]] == ["last_row"] * 3
    log = survey(tmp_path / "drop" / entry["file"], 50.0)[0]
    name = source.strip('"')
    assert log.values[name][1][0] == first


def test_a_draft_knows_observations_from_actions_and_leaves_rewards_out(minari, tmp_path):
    path = minari(count=30)
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
