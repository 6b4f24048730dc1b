"""Files that no logger would write: each is checked as a log within a bound of memory and time."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._attacked import MEBIBYTE, TASK, Mill, Row, run_cold, tree_digest

MEMORY = 500 * MEBIBYTE
SECONDS = 90.0  # of one check
_AT_ONCE = 2
_HEADER = "timestamp,qpos_cart,qpos_pole,qvel_cart,qvel_pole,ctrl_cart\n"
_ROW = "{:.2f},0.1,0.2,0.3,0.4,0.5\n"
_ROWS = "".join(_ROW.format(number / 50) for number in range(200))
_BLOCK = 16 * MEBIBYTE

FORMS: dict[str, tuple[str, Callable[[Path], object]]] = {}  # by title: file name, writer


def _form(title: str, name: str, write: Callable[[Path], object]) -> None:
    FORMS[title] = (name, write)


def _bytes(title: str, name: str, content: bytes) -> None:
    _form(title, name, lambda path: path.write_bytes(content))


def _blocks(head: bytes, block: bytes, count: int) -> Callable[[Path], object]:
    """Write a head, then the same block many times."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(head)
            for _ in range(count):
                file.write(block)

    return write


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self._path),))


def _pickled(path: Path) -> None:
    array = np.array([Payload(path.parent / "executed")], dtype=object)
    np.savez(path, timestamp=array, qpos_cart=array)


def _npz(shape: str, size: int = 64) -> Callable[[Path], object]:
    """Write an archive whose arrays declare a shape."""

    def write(path: Path) -> None:
        head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}"
        text = head.ljust(117).encode() + b"\n"
        array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("timestamp", "qpos_cart"):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    file.write(array)
                    for _ in range(max(1, size // _BLOCK)):
                        file.write(bytes(min(size, _BLOCK)))

    return write


def _hdf5(kind: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        import h5py

        with h5py.File(path, "w") as file:
            if kind == "rows":
                for name in ("timestamp", "qpos_cart"):
                    file.create_dataset(name, (10**11,), "f8", chunks=(1024,))
            elif kind == "external":
                file["timestamp"] = h5py.ExternalLink("/etc/passwd", "/x")
                file["qpos_cart"] = h5py.SoftLink("/nowhere")
            elif kind == "raw":
                file.create_dataset("timestamp", (100,), "u1", external=[("/etc/passwd", 0, 100)])
            else:
                file["a"] = file["/"]

    return write


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


_zeros, _line = bytes(_BLOCK), b"1" * _BLOCK
_csv = (_HEADER + _ROWS).encode()
_form("a line of 300 MB", "a.csv", _blocks(_csv, _line, 19))
_form("an open quote over 200 MB", "a.csv", _blocks(_csv + b'"', _ROWS.encode() * 400, 100))
_form("gzip, a line of 1 GB", "a.csv.gz", _blocks(gzip.compress(_csv), gzip.compress(_line), 64))
_form("gzip, 1 GB of NUL", "a.csv.gz", _blocks(b"", gzip.compress(_zeros), 64))
_form("gzip, 6 GB in streams", "a.csv.gz", _blocks(b"", gzip.compress(_line), 384))
_form("bzip2, 336 MB in 24 kB", "a.csv.bz2", _blocks(b"", bz2.compress(_zeros), 21))
_form(
    "bzip2, 300 MB of rows",
    "a.csv.bz2",
    _blocks(bz2.compress(_csv), bz2.compress(_ROWS.encode() * 3000), 20),
)
_form("xz, a line of 1 GB", "a.csv.xz", _blocks(b"", lzma.compress(_line, preset=0), 64))
_bytes("gzip, cut", "a.csv.gz", gzip.compress(_csv)[:-9])
_bytes("gzip of gzip", "a.csv.gz", gzip.compress(gzip.compress(_csv)))
_bytes("gzip, no content", "a.csv.gz", b"\x1f\x8b\x08")
_bytes("1,000,000 columns", "a.csv", ",".join(f"c{n}" for n in range(10**6)).encode() + b"\n1,2\n")
_bytes("empty", "a.csv", b"")
_bytes("a header alone", "a.csv", _HEADER.encode())
_bytes("NUL alone", "a.csv", bytes(100_000))
_bytes("random bytes", "a.csv", np.random.default_rng(0).bytes(100_000))
_bytes("UTF-16 without its mark", "a.csv", _csv.decode().encode("utf-16-le"))
_bytes("no UTF-8", "a.csv", _csv + b"\xff\xfe\xfd,\x80\n")
_bytes("1e400, nan, inf", "a.csv", _csv + b"4.00,1e400,nan,inf,-inf,1e-400\n")
_bytes("a number of 1,000,000 digits", "a.csv", _csv + b"4.00," + b"9" * 10**6 + b",0,0,0,0\n")
_bytes("each column twice", "a.csv", (_HEADER.strip() + "," + _HEADER).encode() + b"1,2\n")
_bytes("carriage returns alone", "a.csv", _csv.replace(b"\n", b"\r"))
_bytes(
    "control characters in names", "a\x1b[2J\u202egnp.csv", _csv.replace(b"qpos_pole", b"\x1b[31m")
)
_bytes("time backward", "a.csv", (_HEADER + "".join(_ROWS.splitlines(True)[::-1])).encode())
_bytes("time 1e18", "a.csv", _csv + b"1e18,0,0,0,0,0\n")
_form(
    "500,000 JSON keys",
    "a.jsonl",
    lambda path: path.write_text(json.dumps({f"k{n}": 0 for n in range(500_000)}) + "\n"),
)
_form("5,000,000 brackets", "a.jsonl", _blocks(b"", b"[" * 5_000_000, 1))
_bytes("a JSON number of 100,000 digits", "a.jsonl", b'{"timestamp": ' + b"9" * 100_000 + b"}\n")
_form("a JSON text of 300 MB", "a.jsonl", _blocks(b'{"timestamp": "', _line, 19))
_form("npz, 10^12 rows", "a.npz", _npz("(1000000000000,)"))
_form("npz, negative rows", "a.npz", _npz("(-1,)"))
_form("npz, 4 GB of zeros", "a.npz", _npz("(268435456,)", 2 << 30))
_form("npz, a pickle", "a.npz", _pickled)
_form("HDF5, 10^11 rows", "a.h5", _hdf5("rows"))
_form("HDF5, links to elsewhere", "a.h5", _hdf5("external"))
_form("HDF5, raw storage elsewhere", "a.h5", _hdf5("raw"))
_form("HDF5, a group in itself", "a.h5", _hdf5("loop"))
_form("Parquet, a wrong length", "a.parquet", _parquet)
_bytes(
    "Parquet, 2 GB of metadata",
    "a.parquet",
    b"PAR1" + b"\x00" * 50 + struct.pack("<I", 2**31 - 1) + b"PAR1",
)
_bytes(
    "MCAP, a record of 2^62", "a.mcap", b"\x89MCAP0\r\n\x01" + struct.pack("<Q", 2**62) + bytes(100)
)
_bytes(
    "ULog, messages of 65,535", "a.ulg", b"ULog\x01\x12\x35\x01" + bytes(8) + b"\xff\xffB" * 1000
)
_bytes(
    "rosbag, a header of 2^31",
    "a.bag",
    b"#ROSBAG V2.0\n" + struct.pack("<I", 2**31 - 1) + bytes(100),
)
_bytes(
    "MAT, an element of 2^31",
    "a.mat",
    b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 14, 2**31 - 1),
)
_form("rosbag 2, broken tables", "a.db3", _database)
_form("a FIFO", "a.csv", os.mkfifo)
_form("a link to /dev/zero", "a.csv", lambda path: path.symlink_to("/dev/zero"))
_form("a link to itself", "a.csv", lambda path: path.symlink_to(path))
_form("a folder named as a log", "a.csv", Path.mkdir)
_bytes("a pickle named as a log", "a.csv", pickle.dumps({"a": 1}))
_form("zip named as a log", "a.csv", lambda path: zipfile.ZipFile(path, "w").close())
_bytes("a gzip header in a zip's place", "a.npz", io.BytesIO(gzip.compress(_csv)).getvalue())


def attack_reader(mill: Mill, titles: list[str]) -> list[Row]:
    """Check each file in a new process; bound its memory, time and effects."""
    row = Row(f"data check of a hostile file, within {MEMORY // MEBIBYTE} MB")

    def check(title: str) -> str:
        folder = mill.folder / "hostile" / str(list(FORMS).index(title))
        folder.mkdir(parents=True)
        name, write = FORMS[title]
        write(folder / name)
        arguments = ["data", "check", str(folder), "--task", TASK]
        outcome = run_cold(arguments, mill.environment(), SECONDS)
        executed = (folder / "executed").exists()
        for path in folder.iterdir():
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if executed:
            return "code in the file was executed"
        if outcome.peak > MEMORY:
            return f"{outcome.peak // MEBIBYTE} MB of memory in {outcome.seconds:.0f} s"
        if "\x1b" in outcome.output + outcome.errors or "\u202e" in outcome.output:
            return "control characters of the file reach the terminal"
        return outcome.problem((0, 1, 2))

    before = tree_digest(mill.folder / "tasks")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for title, problem in zip(titles, pool.map(check, titles), strict=True):
            row.add(title, problem)
    if tree_digest(mill.folder / "tasks") != before:
        row.failed.append("the tasks were changed")
    return [row]
