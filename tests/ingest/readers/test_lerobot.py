"""Reading LeRobot: one episode a file or many, vectors by element, exact times from float32."""

import io
import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from kinemill.draft.builder import draft
from kinemill.ingest import stage as ingest
from kinemill.ingest.readers._lerobot_meta import about
from kinemill.ingest.readers.parquet import read
from tests.conftest import load_task_in
from tests.ingest.conftest import refusals, stored


@pytest.fixture
def arm(make_task):
    return make_task(("observation.state[0]", "observation.state[2]", "action[1]"))


def episode(index: int, rows: int, fps: float = 30.0, vector: type = pl.Array) -> pl.DataFrame:
    state = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) + 100 * index
    kinds = [pl.Array(pl.Float32, 3), pl.Array(pl.Float32, 2)]
    if vector is pl.List:
        kinds = [pl.List(pl.Float32)] * 2
    return pl.DataFrame(
        {
            "observation.state": pl.Series(state.tolist(), dtype=kinds[0]),
            "action": pl.Series((-state[:, :2]).tolist(), dtype=kinds[1]),
            "timestamp": (np.arange(rows) / fps).astype(np.float32),
            "frame_index": np.arange(rows),
            "episode_index": np.full(rows, index),
        }
    )


@pytest.mark.parametrize("vector", [pl.Array, pl.List])
def test_elements_of_vectors_are_channels(logs, arm, vector):
    episode(0, 3, vector=vector).write_parquet(logs / "a.parquet")
    log = read(logs / "a.parquet", arm)
    assert log.frame.rows() == [(0, 0, 2, -1), (1, 3, 5, -4), (2, 6, 8, -7)]
    assert log.ticks == 30.0


def test_a_file_of_version_3_holds_many_episodes(logs, arm):
    pl.concat([episode(2, 4), episode(0, 3), episode(11, 5)]).write_parquet(logs / "a.parquet")
    parts = read(logs / "a.parquet", arm)
    expected = [("episode 0", 3), ("episode 2", 4), ("episode 11", 5)]
    assert [(log.part, log.frame.height) for log in parts] == expected
    assert parts[1].frame["angle"].to_list() == [200, 203, 206, 209]


def test_float32_stamps_of_ten_minutes_lose_no_step(logs, arm, home):
    task = arm.model_copy(update={"dt": 1 / 30})
    episode(0, 18_000).write_parquet(logs / "a.parquet")
    report = ingest.run(task, home, logs)
    (frame,) = stored(home, report)[1]
    assert frame.height == 18_000
    assert frame["velocity"][-1] == 53_999.0  # the last row itself, not a mixture


def test_stamps_that_are_no_frames_by_a_rate_stay_as_they_are(logs, arm):
    jittered = episode(0, 4).with_columns(timestamp=pl.Series([0.0, 0.031, 0.07, 0.1]))
    jittered.write_parquet(logs / "a.parquet")
    log = read(logs / "a.parquet", arm)
    assert (log.frame["time_s"].to_list(), log.ticks) == ([0.0, 0.031, 0.07, 0.1], 1.0)


def test_a_dropped_frame_leaves_its_gap(logs, arm):
    episode(0, 6).filter(pl.col("frame_index") != 3).write_parquet(logs / "a.parquet")
    assert read(logs / "a.parquet", arm).frame["time_s"].to_list() == [0, 1, 2, 4, 5]


def test_images_and_whole_vectors_say_why_they_are_no_channels(logs, make_task):
    task = make_task(("observation.image", "observation.state", "action[2]"))
    image = pl.Series([{"bytes": b"png", "path": "a.png"}] * 3)
    episode(0, 3).with_columns(image.alias("observation.image")).write_parquet(logs / "a.parquet")
    (torque,) = refusals(read, logs / "a.parquet", task)
    assert torque["channel"] == "torque"
    assert "action[1]" in torque["fix"]
    task = make_task(("observation.image", "observation.state", "action[1]"))
    angle, velocity = refusals(read, logs / "a.parquet", task)
    assert "holds images" in angle["found"]
    assert "name one element at `source`, such as `state[0]`" in velocity["fix"]


def test_pictures_and_texts_of_a_table_go_with_its_episodes(logs, home, make_task):
    task = make_task(
        ("observation.state[0]", "observation.state[1]", "action[0]"),
        channels__camera={"role": "image", "source": "observation.image"},
        channels__instruction={"role": "text", "source": "task"},
        dt=1 / 30,
    )

    def png(level: int) -> bytes:
        content = io.BytesIO()
        Image.fromarray(np.full((2, 3), level, np.uint8)).save(content, "PNG")  # a gray one
        return content.getvalue()

    frame = pl.concat([episode(0, 30), episode(1, 30)])
    images = pl.Series([{"bytes": png(k), "path": f"{k}.png"} for k in range(60)])
    texts = pl.Series(["lift"] * 30 + ["lower"] * 30)
    columns = {"observation.image": images, "task": texts}
    frame.with_columns(**columns).write_parquet(logs / "a.parquet")
    recording, (_, second) = stored(home, ingest.run(task, home, logs))
    assert recording.summary.reasons == []
    images = np.load(recording.folder / "image-camera.npy", mmap_mode="r")
    assert images.shape == (60, 2, 3, 3)
    assert images[second["camera"].to_numpy(), 0, 0, 2].tolist() == list(range(30, 60))
    assert second["instruction"].unique().to_list() == [1]


def test_absurd_row_counts_are_refused_before_they_are_read(logs, make_task):
    names = {f"channels__{name}__source": "flag" for name in ("angle", "velocity", "torque")}
    task = make_task(ingest__time="flag", **names)
    pl.select(flag=pl.repeat(value=False, n=100_000_000)).write_parquet(logs / "a.parquet")
    assert (logs / "a.parquet").stat().st_size < 200_000
    (reason,) = refusals(read, logs / "a.parquet", task)
    assert reason["found"] == "declares 100000000 rows, 2.4e+09 bytes"


def version3(folder, episodes=3, names=("left_hip", "left_hip_vel", "gripper")):
    """A data set as LeRobot 3 writes it: all episodes in one file, Parquet under `meta/` too."""
    data = folder / "data" / "chunk-000" / "file-000.parquet"
    meta = folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    for path in (data, meta):
        path.parent.mkdir(parents=True)
    pl.concat([episode(index, 40) for index in range(episodes)]).write_parquet(data)
    rows = {"episode_index": range(episodes), "length": [40] * episodes}
    pl.DataFrame(rows).write_parquet(meta)
    tasks = pl.DataFrame({"task_index": [0, 1], "task": ["Open the door.", "Close it."]})
    tasks.write_parquet(folder / "meta" / "tasks.parquet")
    features = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": {"motors": list(names)}},
        "action": {"dtype": "float32", "shape": [2], "names": None},
    }
    info = {"codebase_version": "v3.0", "fps": 30, "features": features}
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    return data


def test_parquet_files_under_meta_are_no_logs(logs, arm, home):
    version3(logs)
    report = ingest.run(arm, home, logs)
    assert [entry["file"] for entry in report.files] == ["data/chunk-000/file-000.parquet"]
    assert (report.artifact.summary["quarantined"], report.artifact.summary["tracks"]) == (0, 3)
    assert list(report.ignored) == [
        "meta/episodes/chunk-000/file-000.parquet", "meta/info.json", "meta/tasks.parquet",
    ]  # fmt: skip


def test_a_folder_called_meta_without_a_data_set_holds_logs(logs, arm, home):
    (logs / "meta").mkdir()
    episode(0, 40).write_parquet(logs / "meta" / "a.parquet")
    assert ingest.run(arm, home, logs).artifact.summary["tracks"] == 1


def test_a_draft_takes_names_and_tasks_from_meta_and_splits_by_episode(logs, tmp_path):
    version3(logs)
    task = load_task_in(tmp_path, draft("door", logs))
    assert task.states == ["left_hip", "left_hip_vel", "gripper"]
    assert task.actions == ["action_0", "action_1"]
    assert task.channels["gripper"].source[0].name == "observation.state[2]"
    assert task.description == "Open the door. / Close it."
    assert (task.dataset.group_by, task.dataset.test) == ("part", ["*/episode 2"])
    assert task.dt == pytest.approx(1 / 30)


@pytest.mark.parametrize("names", [("one", "two"), ("a", "a", "b"), ("a", 1, "b")])
def test_names_that_do_not_fit_their_feature_are_not_taken(logs, names):
    version3(logs, names=names)
    assert about(logs / "data" / "chunk-000" / "file-000.parquet").labels == {}


@pytest.mark.parametrize(
    "content", ["", "[]", "[" * 5000, '{"features": 3}', '{"features": {"a": 1}}']
)
def test_a_damaged_info_says_nothing(logs, content):
    path = version3(logs)
    (logs / "meta" / "info.json").write_text(content)
    (logs / "meta" / "tasks.parquet").write_bytes(b"PAR1 nothing")
    described = about(path)
    assert (described.labels, described.text, described.rate) == ({}, "", None)
