"""Datasets taken out: what was written reads back as the same episodes on the same sides."""

import json

import h5py
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from mcap.reader import make_reader

from kinemill.dataset.exporters import export_data
from kinemill.dataset.split import named_side
from kinemill.dataset.writers import WRITERS
from kinemill.errors import BadInput
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.rows import read_rows
from kinemill.store.home import Home
from kinemill.task import load_task
from tests.conftest import run_here
from tests.dataset.conftest import Content, make_task, run_stage, spin, version_of


@pytest.fixture
def uneven() -> list[Content]:
    """Four episodes with values that are no round numbers in float32."""
    random = np.random.default_rng(0)
    episodes = [spin(f"{name}.csv") for name in ("a", "b", "test", "val")]
    return [
        Content(episode.name, episode.values + 0.01 * random.standard_normal(episode.values.shape))
        for episode in episodes
    ]


@pytest.fixture
def version(home, uneven):
    task = make_task()
    return task, version_of(home, uneven, task)


def test_every_writer_is_tried_here():
    assert set(WRITERS) == {"csv", "hdf5", "lerobot", "mcap", "parquet"}


@pytest.mark.ci
@pytest.mark.parametrize("form", list(WRITERS))
def test_episodes_names_units_and_split_come_back(home, version, tmp_path, form):
    task, dataset = version
    report = export_data(task, home, form, tmp_path / "out")
    assert report.episodes == {"train": 2, "validation": 1, "test": 1}
    again = load_task(tmp_path / "out" / "arm.yaml")
    assert (again.dt, again.columns) == (task.dt, task.columns)
    assert {n: c.unit for n, c in again.channels.items()} == dataset.units
    assert again.channels["speed"].derivative_of == "angle"
    other = Home(tmp_path / "other")
    report = ingest.run(again, other, tmp_path / "out")
    assert not any(entry["reasons"] for entry in report.files)
    read: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
    for recording in load_recordings(other, report.artifact.ref):
        side = named_side(again.dataset, recording.name) or "train"
        for track in recording.summary.tracks:
            frame = read_rows(recording.folder / track.file)
            np.testing.assert_allclose(frame["time_s"], np.arange(50) * 0.01, atol=1e-9)
            read[side].append(frame.select(again.columns).to_numpy().astype(np.float32))
    for side, episodes in read.items():
        ours = [dataset.rows(episode) for episode in dataset.of(side)]
        key = lambda rows: float(rows[0, 0])  # noqa: E731
        for own, other_rows in zip(sorted(ours, key=key), sorted(episodes, key=key), strict=True):
            np.testing.assert_array_equal(own, other_rows)


def test_hdf5_carries_units_and_the_time_step(home, version, tmp_path):
    task, dataset = version
    export_data(task, home, "hdf5", tmp_path / "out")
    with h5py.File(tmp_path / "out" / "train.h5") as file:
        assert file.attrs["dt"] == 0.01
        group = file["episode_1"]
        assert group.attrs["id"] == dataset.of("train")[1].id
        assert group["observations/speed"].attrs["unit"] == "rad/s"
        assert group["actions/torque"].shape == (50,)


def test_lerobot_has_what_its_version_3_asks_for(home, version, tmp_path):
    task, _ = version
    export_data(task, home, "lerobot", tmp_path / "out")
    info = json.loads((tmp_path / "out" / "meta" / "info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_frames"]) == ("v3.0", 100, 200)
    assert info["splits"] == {"train": "0:2", "validation": "2:3", "test": "3:4"}
    assert info["features"]["observation.state"]["names"] == ["angle", "speed"]
    episodes = pl.read_parquet(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet")
    assert episodes["dataset_to_index"].to_list() == [50, 100, 150, 200]
    for row in episodes.iter_rows(named=True):
        index = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        frame = pl.read_parquet(tmp_path / "out" / info["data_path"].format(**index))
        own = frame.filter(pl.col("episode_index") == row["episode_index"])
        assert own["index"].to_list() == [
            *range(row["dataset_from_index"], row["dataset_to_index"])
        ]
        assert own.height == row["length"]
        speed = own["observation.state"].arr.get(1)
        assert row["stats/observation.state/max"][1] == pytest.approx(speed.max())
        assert row["stats/observation.state/q50"][1] == pytest.approx(speed.median(), rel=1e-6)
        assert row["stats/frame_index/max"] == [49.0]
    # LeRobot reads a feature of the shape (1,) as a plain value, and one episode a row group.
    assert info["features"]["action"]["shape"] == [1]
    assert frame.schema["action"] == pl.Float32
    assert frame.schema["observation.state"] == pl.Array(pl.Float32, 2)
    first = pq.ParquetFile(tmp_path / "out/data/chunk-000/file-000.parquet")
    assert [first.metadata.row_group(k).num_rows for k in range(2)] == [50, 50]
    stats = json.loads((tmp_path / "out" / "meta" / "stats.json").read_text())
    assert set(stats) == set(info["features"])
    assert stats["observation.state"]["count"] == [200]
    tasks = pl.read_parquet(tmp_path / "out/meta/tasks.parquet")
    assert tasks.rows() == [(0, "arm")]


def test_lerobot_counts_whole_frames_per_second(home, uneven, tmp_path):
    task = make_task({"dt": 0.0016384})  # 610.35 Hz
    run_stage(home, uneven, task)
    with pytest.raises(BadInput, match=r"610\.352 frames per second"):
        export_data(task, home, "lerobot", tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []  # nothing half-made is left


def test_a_folder_that_is_there_is_left_alone(home, version, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInput, match="exists already"):
        export_data(version[0], home, "csv", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_format_lists_the_known(home, version):
    with pytest.raises(BadInput, match="did you mean 'hdf5'"):
        export_data(version[0], home, "hdf", None)


def test_the_command_writes_where_it_says(home, version, tmp_path):
    (tmp_path / "arm.yaml").write_text(
        json.dumps(version[0].model_dump(by_alias=True, mode="json"))
    )
    done = run_here("data", "export", tmp_path / "arm.yaml", "--to", "csv", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["folder"] == str(home.root / "exports" / "arm" / "v1-csv")
    assert report["files"] == 5


def test_mcap_has_index_and_schemas_as_foxglove_asks_for_them(home, version, tmp_path):
    task, dataset = version
    export_data(task, home, "mcap", tmp_path / "out")
    (test,) = dataset.of("test")
    with (tmp_path / "out" / "test" / f"{test.id}.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        messages = list(reader.iter_messages())
        (metadata,) = reader.iter_metadata()
    # With an index a player can seek: chunks by time, and how many messages there are.
    assert summary.statistics.message_count == len(messages) == 2 * test.rows
    assert summary.chunk_indexes
    assert all(index.message_index_offsets for index in summary.chunk_indexes)
    assert (metadata.name, metadata.metadata["id"]) == ("kinemill", test.id)
    for schema, channel, message in messages:
        # JSON goes with a JSON Schema of the type object, and each message is an object.
        described = json.loads(schema.data)
        assert (channel.message_encoding, schema.encoding) == ("json", "jsonschema")
        assert (described["type"], described["title"]) == ("object", schema.name)
        values = json.loads(message.data)
        assert set(values) == set(described["properties"])
        assert all(type(value) is float for value in values.values())
    stamps = [message.log_time for _, channel, message in messages if channel.topic == "/states"]
    assert stamps == [k * 10_000_000 for k in range(test.rows)]  # ns
    (speed,) = [s for s, c, _ in messages[:2] if c.topic == "/states"]
    assert json.loads(speed.data)["properties"]["speed"]["description"] == "unit: rad/s"
