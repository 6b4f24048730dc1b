"""From every layout of demonstrations to a policy that learns from it: numbers, pictures, words."""

from dataclasses import replace

import h5py
import numpy as np
import polars as pl
import pytest
import torch

from kinemill.augment import stage as augment
from kinemill.control.sim import Dummy, dummy_overrides, write_dummy_logs
from kinemill.dataset import stage as dataset_stage
from kinemill.ingest import stage as ingest
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.train.demonstrations import Feed, as_bytes
from kinemill.validate import stage as validate

ROWS, RUNS, SAID = 24, 10, ("pick up the cup", "put it down")
HEAD = """
task: arm
dt: 0.05
ingest: {min_file_age: 0.0}
validate: {min_steps: 5}
dataset: {group_by: part, validation: 0.3, test: 0.3, near_duplicates: apart}
learn: {type: imitation, model: {type: mlp, hidden_sizes: [8]}, batch_size: 8}
channels:
"""
NUMBERS = """
  angle: {role: state, unit: rad, source: STATE0}
  goal: {role: observation, unit: m, source: STATE1}
  torque: {role: action, unit: N*m, source: ACTION}
"""
MEDIA = """
  camera: {role: image, source: IMAGE}
  said: {role: text, source: TEXT}
"""


def run(seed):
    """Return angle, goal, torque and pictures of one demonstration."""
    random = np.random.default_rng(seed)
    angle = np.cumsum(random.normal(0, 0.1, ROWS))
    goal = np.full(ROWS, random.normal())
    pictures = random.integers(0, 255, (ROWS, 8, 8, 3), dtype=np.uint8)
    return angle, goal, goal - angle, pictures


def task_of(folder, sources):
    text = HEAD + NUMBERS + MEDIA
    for name, source in sources.items():
        text = text.replace(name, source)
    (folder / "arm.yaml").write_text(text)
    return load_task(folder / "arm.yaml")


def trajectories(logs):
    """One file an episode: `observations/*`, `actions`, `rewards`, `@language`."""
    for seed in range(RUNS):
        angle, goal, torque, pictures = run(seed)
        with h5py.File(logs / f"{seed}.h5", "w") as file:
            group = file.create_group("episode_0")
            group["observations/place"] = np.c_[angle, goal]
            group["observations/images/front"] = pictures
            group["actions"], group["rewards"] = torque[:, None], np.zeros(ROWS)
            group["time"] = np.arange(ROWS) * 0.05
            group.attrs["language"] = SAID[seed % 2]
    return {
        "STATE0": '"observations/place[0]"',
        "STATE1": '"observations/place[1]"',
        "ACTION": '"actions[0]"',
        "IMAGE": "observations/images/front",
        "TEXT": '"@language"',
    }


def lerobot(logs):
    """Parquet, version 2.1: an episode a file, what was to be done as a number."""
    for seed in range(RUNS):
        angle, goal, torque, _ = run(seed)
        frame = pl.DataFrame(
            {
                "observation.state": np.c_[angle, goal].tolist(),
                "action": torque[:, None].tolist(),
                "timestamp": (np.arange(ROWS) * 0.05).astype(np.float32),
                "frame_index": np.arange(ROWS),
                "episode_index": np.full(ROWS, seed),
                "task_index": np.full(ROWS, seed % 2),
            }
        )
        frame.write_parquet(logs / f"episode_{seed:06d}.parquet")
    vocabulary = "{0: pick up the cup, 1: put it down}"
    return {
        "STATE0": '"observation.state[0]"',
        "STATE1": '"observation.state[1]"',
        "ACTION": '"action[0]"',
        "  camera: {role: image, source: IMAGE}\n": "",
        "source: TEXT": f"source: task_index, texts: {vocabulary}",
    }


LAYOUTS = {writer.__name__: writer for writer in (trajectories, lerobot)}


def learned_from(task, home, logs):
    """Return demonstrations of the dataset and of the training set, from a folder of logs."""
    accepted = validate.run(task, home, ingest.run(task, home, logs).artifact.ref)
    dataset = dataset_stage.run(task, home, accepted.ref).ref
    return task.learn.open(home, dataset, augment.run(task, home, dataset).ref)


@pytest.mark.ci
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_reaches_a_policy_with_what_was_seen_and_said(layout, tmp_path, home):
    logs = tmp_path / "logs"
    logs.mkdir()
    sources = LAYOUTS[layout](logs)
    pictured = "IMAGE" in sources
    task = task_of(tmp_path, sources)
    data = learned_from(task, home, logs)
    packed = data[0].packed
    assert len(packed.episodes) == RUNS
    module, objective = task.learn.prepare(task, *data, torch.device("cpu"))
    objective.loss(torch.arange(8)[None], 0).backward()
    assert all(value.grad is not None for value in module.encoder.parameters())
    # What the policy sees at a row is what the log holds there.
    is_known = {round(float(run(seed)[1][0]), 4): seed for seed in range(RUNS)}
    for episode in packed.episodes:
        goal = data[0].observed(["goal"])[episode.start : episode.stop, 0]
        seed = is_known[round(float(goal[0]), 4)]
        assert data[0].actions[episode.start : episode.stop, 0] == pytest.approx(
            run(seed)[2], abs=1e-5
        )
        assert set(data[0].texts(episode.id, "said")) == {SAID[seed % 2]}
        if pictured:
            inputs = data[0].pictures("camera", np.arange(episode.start, episode.stop))
            assert (inputs.numpy() == run(seed)[3]).all()
    assert (module.layout.images == {"camera": (8, 8, 3)}) == pictured
    assert module.layout.texts == {"said": 64}


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A task, and demonstrations with pictures of its dataset and of its training set."""
    folder = tmp_path_factory.mktemp("pictured")
    (folder / "logs").mkdir()
    task = task_of(folder, trajectories(folder / "logs"))
    return task, learned_from(task, Home(folder / "home"), folder / "logs")


def test_pictures_stay_bytes_until_the_policy_sees_them(pictured):
    """uint8 (B, H, W, 3) come in; the encoder is shown [0, 1] with colors first."""
    task, data = pictured
    module, _ = task.learn.prepare(task, *data, torch.device("cpu"))
    frames = []

    class Eye(torch.nn.Module):
        def forward(self, image, messages):
            frames.append(image)
            return image.new_zeros(len(image), 64)

    module.encoder.encoders["camera"] = Eye()
    pictures = data[0].pictures("camera", np.arange(3))
    said = torch.from_numpy(np.stack([as_bytes(SAID[0], 64)] * 3))
    module.see({"observation": torch.zeros(3, 2), "camera": pictures, "said": said})
    assert pictures.dtype == torch.uint8
    assert frames[0].shape == (3, 3, 8, 8)
    assert frames[0].numpy() == pytest.approx(pictures.permute(0, 3, 1, 2).numpy() / 255, abs=1e-6)


def test_a_number_that_the_task_does_not_explain_is_told(tmp_path, home):
    logs = tmp_path / "logs"
    logs.mkdir()
    sources = lerobot(logs) | {"source: TEXT": "source: task_index, texts: {0: pick up the cup}"}
    task = task_of(tmp_path, sources)
    report = ingest.run(task, home, logs)
    assert report.artifact.summary["quarantined"] == RUNS // 2
    reasons = [item for entry in report.files for item in entry["reasons"]]
    assert reasons[0]["found"] == "holds 1"
    assert "channels.said.texts" in reasons[0]["fix"]


def test_dummy_logs_with_pictures_and_instructions_reach_a_policy(tmp_path, home):
    """Training data of `kinemill run TASK --dummy` for an imitation task."""
    sources = trajectories(tmp_path)
    task = task_of(tmp_path, sources)
    dummy = Dummy(episodes=5, samples=40, image=(8, 8), instructions=["go", "stop"])
    task = load_task(tmp_path / "arm.yaml", dummy_overrides(task, dummy))
    write_dummy_logs(task, tmp_path / "logs", dummy)
    module, objective = task.learn.prepare(
        task, *learned_from(task, home, tmp_path / "logs"), torch.device("cpu")
    )
    assert module.layout.images == {"camera": (8, 8, 3)}
    assert torch.isfinite(objective.loss(torch.arange(8)[None], 0))
    assert np.isfinite(objective.evaluate()["validation/action"])


def test_a_training_without_validation_episodes_says_so(pictured):
    """The data module that is missing in public trainers is an error here before anything runs."""
    task, (dataset, training_set) = pictured
    only = [episode for episode in dataset.packed.episodes if episode.split == "train"]
    dataset = replace(dataset, packed=replace(dataset.packed, episodes=only))
    with pytest.raises(Exception, match="validation split of arm"):
        task.learn.prepare(task, dataset, training_set, torch.device("cpu"))


def test_pictures_come_from_memory_and_from_files_alike(pictured, monkeypatch):
    """Of some rows, as training holds them; and where memory would not hold them."""
    task, (data, _) = pictured
    layout = task.learn.prepare(task, data, data, torch.device("cpu"))[0].layout
    used, rows = np.arange(5, 60, 3), torch.tensor([8, 56, 5])
    expected = data.pictures("camera", rows.numpy())
    cpu = torch.device("cpu")
    cached = Feed(data, layout, cpu, used)
    monkeypatch.setattr("kinemill.train.demonstrations.CACHE_BYTES", 0)
    read = Feed(data, layout, cpu, used)
    assert (cached.steady, read.steady) == (True, False)
    assert torch.equal(cached.at(rows)["camera"], expected)
    assert torch.equal(read.at(rows)["camera"], expected)
