"""Hostile logs: forms that make a parser take memory or time, at a scale that a test can write."""

import bz2
import gzip
import io
import json
import lzma
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import zstandard

HEADER = b"time,position,velocity,torque\n"
ROWS = b"".join(b"%.2f,%.1f,10.0,%.1f\n" % (k / 100, k / 10, k % 7) for k in range(2000))
MB = 1 << 20
LONGEST_LINE = MB // 2  # bytes; the limit at the scale of these forms
SMALL = 2 * MB  # the same
LONG = 600_000
BOMB = 3  # MiB
GOOD = HEADER + ROWS


def _rows_of_keys(n: int) -> Iterator[str]:
    for k in range(n):
        yield json.dumps({"time": k / 100, "position": 0.1, f"key{k}": k})


def _large_dictionary() -> bytes:
    """Return an xz stream that declares a dictionary of 4 GB."""
    content = bytearray(lzma.compress(GOOD))
    size = 4 * (content[12] + 1)  # of the block header: size, flags, filter, its properties
    content[16] = 40  # the largest dictionary
    content[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(content[12 : 12 + size - 4]))
    return bytes(content)


def _zeros_npz() -> bytes:
    """Return arrays of zeros that deflate shrinks by a factor of 1000."""
    buffer, array = io.BytesIO(), io.BytesIO()
    declared = {"shape": (1 << 30,), "fortran_order": False, "descr": "<f8"}
    np.lib.format.write_array_header_1_0(array, declared)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("time", "position", "velocity", "torque"):
            archive.writestr(f"{name}.npy", array.getvalue() + bytes(8 * MB))
    return buffer.getvalue()


def _many_groups() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file
        for _ in range(200):
            group = group.create_group("g")
        group["time"] = np.arange(10.0)
    return buffer.getvalue()


def _text_forms() -> dict[str, bytes]:
    noise = random.Random(0).randbytes(MB)
    return {
        "line.csv": HEADER + ROWS + b"1" * LONG + b"\n",
        "first_line.csv": b"1" * LONG,
        "line.tsv": HEADER.replace(b",", b"\t") + b"0\t1\t2\t3\n" + b"1\t" * (LONG // 2),
        "line.txt": HEADER + ROWS + b"7" * LONG,
        "line.log": HEADER + ROWS + b"7" * LONG,
        "line.dat": b"1 2 3\n" * 100 + b"1 " * (LONG // 2),
        "cr.csv": GOOD.replace(b"\n", b"\r") + b"1" * LONG + b"\r",
        "open_quote.csv": HEADER + b'0,"1,2,3\n' + ROWS * (LONG // len(ROWS) + 1),
        "quoted.csv": HEADER + b'0,"1,2,3\n' + (ROWS + b'""\n') * (LONG // len(ROWS) + 1),
        "header_quote.csv": b'"' + HEADER + ROWS * (LONG // len(ROWS) + 1),
        "nul.csv": bytes(LONG),
        "nul_rows.csv": HEADER + b"\0,\0,\0,\0\n" * 1000,
        "columns.csv": b",".join(b"c%d" % k for k in range(100_000)) + b"\n" + b"1," * 100_000,
        "fields.csv": HEADER + b"0,1,2,3" + b",4" * 100_000 + b"\n" + ROWS,
        "digits.csv": HEADER + b"0,1,2," + b"9" * 200_000 + b"x\n" + ROWS,
        "long_cell.csv": HEADER + b'0,1,2,"' + b"a\n" * 100_000 + b'"\n' + ROWS,
        "quotes.csv": HEADER + b'"' * (MB + 1) + b"\n" + ROWS,
        "separators.csv": b"," * MB + b"\n" + b"," * MB + b"\n",
        "noise.csv": noise,
        "noise.txt": HEADER + noise,
        "utf16.csv": (HEADER + b"1" * LONG).decode().encode("utf-16"),
        "message.log": b"FMT, 128, 89, FMT, BBnNZ, Type,Length,Name,Format,Columns\n" + b"1" * LONG,
    }


def _json_forms() -> dict[str, bytes]:
    keys = {f"key{k}": k for k in range(50_000)}
    arrays = {"time": list(range(100))}
    return {
        "keys.jsonl": f"{json.dumps(keys)}\n".encode() * 2,
        "row_keys.jsonl": "\n".join(_rows_of_keys(50_000)).encode(),
        "row_keys.json": f"[{','.join(_rows_of_keys(50_000))}]".encode(),
        "keys.json": json.dumps({"time": [0.01 * k for k in range(100)], **keys}).encode(),
        "cells.jsonl": b'{"time": 1}\n' * 10_000
        + (json.dumps(dict(list(keys.items())[:9000])) + "\n").encode(),
        "line.jsonl": b'{"time": 0}\n{"time": "' + b"a" * LONG + b'"}\n',
        "open_text.json": b'{"time": [' + b"1," * 100 + b'"' + b"a" * MB,
        "brackets.json": json.dumps(arrays).encode()[:-1] + b', "x": ' + b"[" * 500_000,
        "brackets.jsonl": b'{"time": 0}\n{"time": ' + b"[" * 500_000 + b"\n",
        "objects.json": json.dumps(arrays).encode()[:-1] + b"," + b'"x": {' * 100_000,
        "lists.json": json.dumps(arrays).encode()[:-1] + b', "x": [' + b"[]," * (4 * MB) + b"[]]}",
        "digits.json": b'{"time": [' + b"1, " * 40 + b"9" * 10_000 + b"]}",
        "frames.json": b'{"Frames": [' + b"[]," * (4 * MB) + b"[]]}",
    }


def _compressed_forms() -> dict[str, bytes]:
    compress_zst = zstandard.ZstdCompressor().compress
    zeros = bytes(MB)
    rows = HEADER + b"0.01,1.0,10.0,2.0\n" * (MB // 18)
    window = struct.pack("<IBB", 0xFD2FB528, 0, 21 << 3) + b"\1\0\0"
    keys = "\n".join(_rows_of_keys(20_000)).encode()
    return {
        "zeros.csv.gz": gzip.compress(HEADER + zeros * BOMB, 1),
        "streams.csv.gz": gzip.compress(HEADER) + gzip.compress(zeros) * BOMB,
        "rows.csv.bz2": bz2.compress(rows) * BOMB,
        "zeros.csv.xz": lzma.compress(HEADER) + lzma.compress(zeros, preset=0) * BOMB,
        "zeros.csv.zst": compress_zst(HEADER) + compress_zst(zeros) * BOMB,
        "nested.csv.gz": gzip.compress(gzip.compress(gzip.compress(GOOD))),
        "line.csv.gz": gzip.compress(HEADER + b"1" * LONG, 1),
        "line.jsonl.xz": lzma.compress(b'{"time": 0}\n{"time": 1' + b"0" * LONG, preset=0),
        "dictionary.csv.xz": _large_dictionary(),
        "window.csv.zst": window,
        "empty_streams.csv.gz": gzip.compress(b"") * 10_000,
        "noise.csv.gz": gzip.compress(GOOD)[:20] + bytes(MB),
        "keys.jsonl.zst": compress_zst(keys),
    }


def _binary_forms() -> dict[str, bytes]:
    huge = struct.pack("<Q", 1 << 62)
    return {
        "zeros.npz": _zeros_npz(),
        "groups.h5": _many_groups(),
        "record.mcap": b"\x89MCAP0\r\n\x01" + huge + bytes(100),
        "chunk.mcap": b"\x89MCAP0\r\n\x06" + struct.pack("<Q", 1 << 33) + bytes(1000),
        "record.bag": b"#ROSBAG V2.0\n" + struct.pack("<I", (1 << 32) - 1) + bytes(1000),
        "record.ulg": b"ULog\x01\x12\x35\x01" + bytes(8) + b"\xff\xffB" * 1000,
        "element.mat": b"MATLAB 5.0 MAT-file".ljust(124)
        + b"\x00\x01IM" + struct.pack("<II", 15, (1 << 32) - 1) + bytes(1000),
        "footer.parquet": b"PAR1" + bytes(100) + struct.pack("<I", (1 << 31) - 1) + b"PAR1",
    }  # fmt: skip


def hostile_forms() -> dict[str, bytes]:
    """Return the content of each form, by file name."""
    return {**_text_forms(), **_json_forms(), **_compressed_forms(), **_binary_forms()}


def write_large_forms(folder: Path) -> set[str]:
    """Write logs of up to 300 MB, or that unpack to gigabytes; return their names."""
    block = gzip.compress(bytes(100 * MB), 1)
    (folder / "line.csv.gz").write_bytes(gzip.compress(HEADER, 1) + block * 10)
    (folder / "streams.csv.gz").write_bytes(gzip.compress(HEADER, 1) + block * 60)
    (folder / "rows.csv.bz2").write_bytes(
        bz2.compress(HEADER) + bz2.compress(b"1,2,3,4\n" * 10_000_000)
    )
    (folder / "quote.csv").write_bytes(HEADER + b'0,"1,2,3\n' + ROWS * (189 * MB // len(ROWS)))
    (folder / "line.csv").write_bytes(HEADER + b"0,1,2,3\n" + b"1" * (300 * MB))
    keys = {f"key{k}": k for k in range(500_000)}
    (folder / "keys.json").write_text(json.dumps({"time": [1.0] * 40, **keys}))
    (folder / "keys.jsonl").write_text(f"{json.dumps(keys)}\n" * 2)
    (folder / "lists.json").write_bytes(
        b'{"time": [' + b"1," * 50 + b"[" + b"[]," * (80 * MB) + b"[]]]}"
    )
    return {path.name for path in folder.iterdir()}
