"""Files that no logger would write: each is checked as a log within a bound of memory and time."""

import bz2
import gzip
import json
import lzma
import os
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._attacked import TASK, Row, Workspace, run_cold

MEMORY = 500.0  # MB
SECONDS = 90.0  # of one check
_AT_ONCE = 2
_NAMES = "timestamp,qpos_cart,qpos_pole,qvel_cart,qvel_pole,ctrl_cart"
_ROWS = "".join(f"{number / 50:.2f},0.1,0.2,0.3,0.4,0.5\n" for number in range(200))
_CSV = f"{_NAMES}\n{_ROWS}".encode()
_ONES = b"1" * (16 << 20)
_ZEROS = bytes(len(_ONES))

Write = Callable[[Path], object]


def _blocks(head: bytes, block: bytes, count: int, pack: Callable[[bytes], bytes] = bytes) -> Write:
    """Write a head, then the same block many times, each packed."""

    def write(path: Path) -> None:
        packed = pack(block)
        with path.open("wb") as file:
            file.write(pack(head))
            for _ in range(count):
                file.write(packed)

    return write


class _Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self._path),))


def _pickled(path: Path) -> None:
    array = np.array([_Payload(path.parent / "executed")], dtype=object)
    np.savez(path, timestamp=array, qpos_cart=array)


def _npz(shape: str, blocks: int = 1) -> Write:
    """Write an archive of arrays that declare a shape, with blocks of zeros."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("timestamp", "qpos_cart"):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
                    for _ in range(blocks):
                        file.write(_ZEROS)

    return write


def _hdf5(fill: Callable[[Any, Any], object]) -> Write:
    def write(path: Path) -> None:
        import h5py

        with h5py.File(path, "w") as file:
            fill(h5py, file)

    return write


def _link(h5py: Any, file: Any) -> None:
    file["timestamp"] = h5py.ExternalLink("/etc/passwd", "/x")
    file["qpos_cart"] = h5py.SoftLink("/nowhere")


def _parquet(path: Path) -> None:
    import polars as pl

    pl.DataFrame({"timestamp": [0.0, 0.02], "qpos_cart": [1.0, 2.0]}).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[-8:-4] = struct.pack("<I", len(content) - 12)
    path.write_bytes(content)


def _database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE topics (id INTEGER, name TEXT, type TEXT)")
        connection.execute("CREATE TABLE messages (topic_id INTEGER, timestamp INTEGER, data BLOB)")
        connection.execute("INSERT INTO messages VALUES (1, -9223372036854775808, zeroblob(1000))")
        connection.commit()


_HUGE = struct.pack("<I", 2**31 - 1)
FORMS: dict[str, tuple[str, Write | bytes]] = {  # by title: file name, content
    "a line of 300 MB": ("a.csv", _blocks(_CSV, _ONES, 19)),
    "an open quote over 240 MB": ("a.csv", _blocks(_CSV + b'"', _ROWS.encode() * 400, 100)),
    "gzip, a line of 1 GB": ("a.csv.gz", _blocks(_CSV, _ONES, 64, gzip.compress)),
    "gzip, 1 GB of NUL": ("a.csv.gz", _blocks(b"", _ZEROS, 64, gzip.compress)),
    "gzip, 6 GB in streams": ("a.csv.gz", _blocks(b"", _ONES, 384, gzip.compress)),
    "gzip, cut": ("a.csv.gz", gzip.compress(_CSV)[:-9]),
    "gzip of gzip": ("a.csv.gz", gzip.compress(gzip.compress(_CSV))),
    "bzip2, 336 MB of NUL": ("a.csv.bz2", _blocks(b"", _ZEROS, 21, bz2.compress)),
    "bzip2, 300 MB of rows": ("a.csv.bz2", _blocks(_CSV, _ROWS.encode() * 3000, 17, bz2.compress)),
    "xz, a line of 1 GB": ("a.csv.xz", _blocks(b"", _ONES, 64, lzma.compress)),
    "1,000,000 columns": (
        "a.csv",
        lambda path: path.write_text(",".join(f"c{n}" for n in range(10**6)) + "\n1\n"),
    ),
    "no bytes": ("a.csv", b""),
    "UTF-16 without its mark": ("a.csv", _CSV.decode().encode("utf-16-le")),
    "no UTF-8": ("a.csv", _CSV + b"\xff\xfe\xfd,\x80\n"),
    "1e400, nan, inf": ("a.csv", _CSV + b"4.00,1e400,nan,inf,-inf,1e-400\n"),
    "a number of 1,000,000 digits": ("a.csv", _CSV + b"4.00," + b"9" * 10**6 + b",0,0,0,0\n"),
    "control characters": ("a\x1b[2J\u202e.csv", _CSV.replace(b"qpos_pole", b"\x1b[31m")),
    "time 1e18": ("a.csv", _CSV + b"1e18,0,0,0,0,0\n"),
    "500,000 JSON keys": (
        "a.jsonl",
        lambda path: path.write_text(json.dumps({f"k{n}": 0 for n in range(500_000)}) + "\n"),
    ),
    "5,000,000 brackets": ("a.jsonl", b"[" * 5_000_000),
    "a JSON number of 100,000 digits": ("a.jsonl", b'{"timestamp": ' + b"9" * 100_000 + b"}\n"),
    "a JSON text of 300 MB": ("a.jsonl", _blocks(b'{"timestamp": "', _ONES, 19)),
    "npz, 10^12 rows": ("a.npz", _npz("(1000000000000,)")),
    "npz, negative rows": ("a.npz", _npz("(-1,)")),
    "npz, 4 GB of zeros": ("a.npz", _npz("(268435456,)", 128)),
    "npz, a pickle": ("a.npz", _pickled),
    "HDF5, 10^11 rows": (
        "a.h5",
        _hdf5(lambda _, file: file.create_dataset("timestamp", (10**11,), "f8", chunks=(1024,))),
    ),
    "HDF5, links to elsewhere": ("a.h5", _hdf5(_link)),
    "HDF5, raw storage elsewhere": (
        "a.h5",
        _hdf5(
            lambda _, file: file.create_dataset("t", (9,), "u1", external=[("/etc/fstab", 0, 9)])
        ),
    ),
    "HDF5, a group in itself": ("a.h5", _hdf5(lambda _, file: file.update({"a": file["/"]}))),
    "Parquet, a wrong length": ("a.parquet", _parquet),
    "Parquet, 2 GB of metadata": ("a.parquet", b"PAR1" + bytes(50) + _HUGE + b"PAR1"),
    "MCAP, a record of 2^62": (
        "a.mcap",
        b"\x89MCAP0\r\n\x01" + struct.pack("<Q", 2**62) + bytes(100),
    ),
    "ULog, messages of 65,535": (
        "a.ulg",
        b"ULog\x01\x12\x35\x01" + bytes(8) + b"\xff\xffB" * 1000,
    ),
    "rosbag, a header of 2^31": ("a.bag", b"#ROSBAG V2.0\n" + _HUGE + bytes(100)),
    "rosbag 2, broken tables": ("a.db3", _database),
    "MAT, an element of 2^31": (
        "a.mat",
        b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<I", 14) + _HUGE,
    ),
    "a FIFO": ("a.csv", os.mkfifo),
    "a link to /dev/zero": ("a.csv", lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": ("a.csv", lambda path: path.symlink_to(path)),
    "a folder named as a log": ("a.csv", Path.mkdir),
}


def write_form(title: str, folder: Path) -> None:
    """Write a file into a missing folder."""
    folder.mkdir(parents=True)
    name, content = FORMS[title]
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        content(folder / name)


def attack_reader(workspace: Workspace, titles: list[str]) -> list[Row]:
    """Check each file in a new process; bound its memory and time, and look for its effects."""
    row = Row(f"data check of a hostile file, within {MEMORY:.0f} MB, {SECONDS:.0f} s")

    def check(title: str) -> str:
        folder = workspace.folder / "hostile" / title.replace("/", " ")
        write_form(title, folder)
        arguments = ["data", "check", str(folder), "--task", TASK]
        result = run_cold(arguments, workspace.environment(), SECONDS)
        was_executed = (folder / "executed").exists()
        for path in folder.iterdir():  # some are large
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if was_executed:
            return "code in the file was executed"
        if result.peak > MEMORY:
            return f"{result.peak:.0f} MB of memory in {result.seconds:.0f} s"
        if {"\x1b", "\u202e"} & {*result.output, *result.errors}:
            return "control characters of the file reach the terminal"
        return result.problem((0, 1, 2))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for title, problem in zip(titles, pool.map(check, titles), strict=True):
            row.add(title, problem)
    return [row]
