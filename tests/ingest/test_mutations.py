"""Bytes changed at random: a reader reads, or refuses; it does not crash, hang or grow.

Each format is tried in a separate process with limits on memory and time, so that a library that
dies takes the test with it and not the test run.
"""

import gzip
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from scipy.io import savemat

from kinemill.task import READERS
from tests.ingest.messages import (
    dataflash_bytes,
    run,
    ulog_bytes,
    ulog_samples,
    write_bag,
    write_mcap,
)

CHILD = """
import random, resource, sys, tempfile, warnings
from pathlib import Path
from kinemill.errors import BadLog
from kinemill.ingest.media import store_media
from kinemill.ingest.metadata import read_attributes
from kinemill.ingest.tracks import make_tracks
from kinemill.task import READERS, load_task

resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
warnings.simplefilter("ignore")
task, tries, *logs = sys.argv[1:]
task = load_task(Path(task))

def run(path, read):
    logs = read(path, task)
    logs = logs if isinstance(logs, list) else [logs]
    parts = [(log.part, make_tracks(log, task)) for log in logs]
    with tempfile.TemporaryDirectory() as folder:
        return [tracks for _, tracks in store_media(parts, Path(folder))]

def changed(whole, chance):
    content = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 8])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return content[: chance.randrange(len(content))] if chance.random() < 0.1 else content

for path in map(Path, logs):
    read = READERS[path.name.split(".")[0]].read
    whole, chance, noticed = path.read_bytes(), random.Random(path.name), 0
    assert run(path, read)[0].frames, f"{path.name} itself is good"
    for _ in range(int(tries)):
        path.write_bytes(changed(whole, chance))
        try:
            noticed += any(tracks.reasons for tracks in run(path, read))
        except BadLog:
            noticed += 1
        read_attributes(task, path)
    print(path.name, noticed, flush=True)
"""

ROWS = 40
COLUMNS = {
    "time": np.arange(ROWS) * 0.01,
    "position": np.sin(np.arange(ROWS)),
    "velocity": np.cos(np.arange(ROWS)),
    "torque": np.ones(ROWS),
}


def hdf5(path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(3):
            group = file.create_group(f"data/demo_{number}")
            for name, values in COLUMNS.items():
                group.create_dataset(name, data=values, chunks=(16,), compression="gzip")
            group.attrs["model"] = "arm"
        file.attrs["robot"] = "r2"


def mat73(path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in COLUMNS.items():
            file[name] = values[None]
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(128))


def motion(path) -> None:
    layout = {name: index for index, name in enumerate(COLUMNS)}
    frames = np.stack(list(COLUMNS.values()), axis=1).tolist()
    sizes = dict.fromkeys(COLUMNS, 1)
    clip = {"FPS": 100, "Frame_offset": [layout], "Frame_size": [sizes], "Frames": frames}
    path.write_text(json.dumps(clip))


def lerobot(path) -> None:
    vector = {"state": pl.Series(np.ones((ROWS, 3)).tolist(), dtype=pl.Array(pl.Float32, 3))}
    index = {"frame_index": range(ROWS), "episode_index": [0, 1] * (ROWS // 2)}
    frame = pl.DataFrame(COLUMNS | vector | index).with_columns(timestamp=pl.col("time"))
    frame.write_parquet(path)


LOGS = {
    "hdf5.h5": hdf5,
    "npz.packed": lambda path: np.savez_compressed(path.open("wb"), **COLUMNS),
    "npz.plain": lambda path: np.savez(path.open("wb"), **COLUMNS),
    "mat.v5": lambda path: savemat(path, COLUMNS, appendmat=False),
    "mat.v7": lambda path: savemat(path, COLUMNS, do_compression=True, appendmat=False),
    "mat.v73": mat73,
    "motion_json.json": motion,
    "json_arrays.json": lambda path: path.write_text(
        json.dumps({"fs": 100, "runs": [{name: list(v) for name, v in COLUMNS.items()}] * 2})
    ),
    "parquet.lerobot": lerobot,
}
MESSAGES = {"compressed", "csv", "dataflash", "jsonl", "mcap", "rosbag", "text", "ulog"}


def own_sample(name: str) -> Callable[[Path], None]:
    """Return the writer of a reader's log: `write_log(path, COLUMNS)` of its own test file."""
    file = Path(__file__).parent / "readers" / f"test_{name}.py"
    assert file.exists(), f"{file} with write_log(path, columns) is missing"
    return lambda path: runpy.run_path(str(file))["write_log"](path, COLUMNS)


LOGS |= {
    f"{name}.sample": own_sample(name)
    for name in set(READERS) - MESSAGES - {log.split(".")[0] for log in LOGS}
}
PICTURES = np.random.default_rng(0).integers(0, 256, (ROWS, 6, 8, 3), np.uint8)


def hdf5_media(path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(3):
            group = file.create_group(f"episode_{number}")
            for name, values in COLUMNS.items():
                group[name] = values
            packed = {"compression": "gzip", "fletcher32": True, "chunks": (4, 6, 8, 3)}
            group.create_dataset("image", data=PICTURES, **packed)
            group.attrs["language"] = "lift the cube"
            group.create_dataset("said", data=np.array(["a", "b"] * (ROWS // 2), object))


def npz_media(path) -> None:
    texts = {"said": np.array(["a", "b"] * (ROWS // 2)), "language": np.array(["lift"])}
    with path.open("wb") as file:
        np.savez_compressed(file, **COLUMNS, **texts, image=PICTURES)


ANY = """
task: arm
dt: 0.01
channels:
  angle:
    role: state
    kind: angle
    unit: rad
    source: ["/joints.position[1]", "joint.position.value[1]", ATT.Roll, angle]
  drive:
    role: action
    unit: "1"
    source: [/command.data, command.value, RCOU.C1, drive]
    resample: {max_gap: 0.2}
ingest: {min_file_age: 0.0}
learn: {type: dynamics, model: {type: mlp}}
"""


def csv(path, separator: str, sign: str, stamp: str):
    """Sixty rows with a comment above and one among them."""
    rows = [
        separator.join((stamp.format(k * 10), f"{k / 7:.6f}".replace(".", sign), f"0{sign}5", "x"))
        for k in range(60)
    ]
    header = separator.join(("time", "angle", "drive", "note"))
    path.write_text("\n".join(["# of a robot", header, *rows[:30], "# half", *rows[30:]]) + "\n")
    return path


def jsonl(path):
    rows = ({"time": 0.01 * k, "angle": 0.1 * k, "drive": 0.5} for k in range(60))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mutate(task, tries: int, logs) -> dict[str, int]:
    """Return the number of changes by log that were noticed."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(task), str(tries), *map(str, logs)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout} {done.stderr[-2000:]}"
    noticed = dict(line.split() for line in done.stdout.splitlines())
    assert set(noticed) == {log.name for log in logs}
    return {name: int(count) for name, count in noticed.items()}


@pytest.mark.slow
def test_changed_bytes_of_numbers_are_read_or_refused(tmp_path, task):
    for name, write in LOGS.items():
        write(tmp_path / name)
    noticed = mutate(task.path, 150, [tmp_path / name for name in LOGS])
    assert min(noticed.values()) > 5, noticed


@pytest.mark.parametrize(
    ("name", "write", "source"),
    [
        pytest.param("hdf5.h5", hdf5_media, "@language", marks=pytest.mark.ci),
        ("npz.npz", npz_media, "language"),
    ],
)
def test_changed_bytes_of_images_and_texts_are_read_or_refused(
    tmp_path, make_task, name, write, source
):
    path = tmp_path / "pendulum.yaml"
    text = path.read_text().replace(
        "ingest:",
        "  camera: {role: image, source: image}\n"
        f'  instruction: {{role: text, source: "{source}"}}\n'
        "  step: {role: text, source: said}\ningest:",
    )
    path.write_text(text)
    write(tmp_path / name)
    assert mutate(path, 200, [tmp_path / name])[name] > 20


@pytest.mark.slow
def test_changed_bytes_of_messages_are_read_or_refused(tmp_path):
    task = tmp_path / "arm.yaml"
    task.write_text(ANY)
    messages = run(seconds=0.5)
    logs = [
        write_mcap(tmp_path / "mcap.json", messages, chunk=1500),
        write_bag(tmp_path / "ros2", messages, "MCAP").rename(tmp_path / "mcap.ros2"),
        write_bag(tmp_path / "sql", messages, "SQLITE3").rename(tmp_path / "rosbag.x.db3"),
        write_bag(tmp_path / "rosbag.x.bag", messages),
        csv(tmp_path / "csv.dates", ",", ".", "2024-05-01T12:00:00.{:03d}Z"),
        csv(tmp_path / "csv.commas", ";", ",", "0,{:03d}"),
        jsonl(tmp_path / "jsonl.lines"),
        tmp_path / "compressed.gz",
        tmp_path / "ulog.ulg",
        tmp_path / "dataflash.bin",
    ]
    logs[-1].write_bytes(dataflash_bytes(0.5))
    logs[-3].write_bytes(gzip.compress((tmp_path / "jsonl.lines").read_bytes()))
    logs[-2].write_bytes(ulog_bytes(ulog_samples(seconds=0.5)))
    mutate(task, 60, logs)
