"""Bytes of logs with images and texts changed at random: they are read or refused, part by part."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

CHILD = """
import random, resource, shutil, sys, tempfile, warnings
from pathlib import Path
from kinemill.errors import BadLog
from kinemill.ingest.media import store_media
from kinemill.ingest.tracks import make_tracks
from kinemill.task import READERS, load_task

resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
warnings.simplefilter("ignore")
task, tries, *logs = sys.argv[1:]
task = load_task(Path(task))

def run(path, read):
    found = read(path, task)
    logs = found if isinstance(found, list) else [found]
    parts = [(log.part, make_tracks(log, task)) for log in logs]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        parts = store_media(parts, Path(folder))
    return sum(bool(tracks.reasons) for _, tracks in parts)

for path in map(Path, logs):
    read, whole = READERS[path.name.split(".")[0]].read, path.read_bytes()
    chance, odd = random.Random(path.name), 0
    assert run(path, read) == 0, f"{path.name} itself is good"
    for _ in range(int(tries)):
        content = bytearray(whole)
        for _ in range(chance.choice([1, 2, 8])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        whole_length = chance.random() > 0.1
        path.write_bytes(content if whole_length else content[: chance.randrange(len(content))])
        try:
            odd += run(path, read) > 0
        except BadLog:
            odd += 1
    print(path.name, odd, flush=True)
"""
ROWS = 12
NUMBERS = {"position": np.arange(ROWS) * 0.1, "velocity": np.ones(ROWS), "torque": np.zeros(ROWS)}
TIME = np.arange(ROWS) * 0.01
PICTURES = np.random.default_rng(0).integers(0, 256, (ROWS, 6, 8, 3), np.uint8)


def hdf5(path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(3):
            group = file.create_group(f"episode_{number}")
            for name, values in (NUMBERS | {"time": TIME}).items():
                group[name] = values
            packed = {"compression": "gzip", "fletcher32": True, "chunks": (4, 6, 8, 3)}
            group.create_dataset("image", data=PICTURES, **packed)
            group.attrs["language"] = "lift the cube"
            group.create_dataset("said", data=np.array(["a", "b"] * 6, object))


def npz(path) -> None:
    texts = {"said": np.array(["a", "b"] * 6), "language": np.array(["lift"])}
    with path.open("wb") as file:
        np.savez_compressed(file, **NUMBERS, **texts, time=TIME, image=PICTURES)


@pytest.mark.parametrize(("name", "write"), [("hdf5.h5", hdf5), ("npz.npz", npz)])
def test_changed_bytes_are_read_or_refused(tmp_path, make_task, name, write):
    source = "@language" if name == "hdf5.h5" else "language"
    path = tmp_path / "pendulum.yaml"
    text = path.read_text().replace(
        "ingest:",
        "  camera: {role: image, source: image}\n"
        f'  instruction: {{role: text, source: "{source}"}}\n'
        "  step: {role: text, source: said}\ningest:",
    )
    path.write_text(text)
    write(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), "200", str(tmp_path / name)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout} {done.stderr[-2000:]}"
    assert int(done.stdout.split()[1]) > 20
