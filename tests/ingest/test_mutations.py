"""Bytes changed at random: a reader reads, or refuses; it does not crash, hang or grow.

Each format is tried in a process of its own with limits on memory and time, so that a library that
dies takes the test with it and not the test run.
"""

import json
import subprocess
import sys

import h5py
import numpy as np
import polars as pl
from scipy.io import savemat

CHILD = """
import random, resource, sys, warnings
from pathlib import Path
from kinemill.errors import BadLog
from kinemill.ingest.metadata import read_attributes
from kinemill.ingest.tracks import make_tracks
from kinemill.task import READERS, load_task

resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
warnings.simplefilter("ignore")
task, tries, *logs = sys.argv[1:]
task = load_task(Path(task))

def run(path, read):
    logs = read(path, task)
    return [make_tracks(log, task) for log in (logs if isinstance(logs, list) else [logs])]

def changed(whole, chance):
    content = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 8])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return content[: chance.randrange(len(content))] if chance.random() < 0.1 else content

for path in map(Path, logs):
    form = path.name.split(".")[0]
    whole, chance, refused = path.read_bytes(), random.Random(path.name), 0
    assert run(path, READERS[form].read)[0].frames, f"{path.name} itself is good"
    for _ in range(int(tries)):
        path.write_bytes(changed(whole, chance))
        try:
            run(path, READERS[form].read)
        except BadLog:
            refused += 1
        read_attributes(task, path)
    print(path.name, refused, flush=True)
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


def test_changed_bytes_are_read_or_refused(tmp_path, task):
    for name, write in LOGS.items():
        write(tmp_path / name)
    arguments = [str(task.path), "150", *(str(tmp_path / name) for name in LOGS)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout} {done.stderr[-2000:]}"
    refused = dict(line.split() for line in done.stdout.splitlines())
    assert set(refused) == set(LOGS)
    assert all(int(count) > 5 for count in refused.values()), refused
