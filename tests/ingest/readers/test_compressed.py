"""Compressed logs: unpacked and read by the reader of their content, cut and damaged ones named."""

import bz2
import gzip
import io
import lzma
import tarfile
from functools import cache

import h5py
import numpy as np
import pytest
import zstandard

from kinemill.draft.builder import build
from kinemill.ingest import stage as ingest
from kinemill.ingest.files import recognize, scan
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers import _limits, compressed, csv
from kinemill.ingest.recordings import load_recordings

PACK = {
    "gz": cache(gzip.compress),
    "bz2": cache(bz2.compress),
    "xz": cache(lzma.compress),
    "zst": cache(zstandard.ZstdCompressor().compress),
}
RANDOM = np.random.default_rng(0)
ROWS = [(0.01 * k, *RANDOM.normal(size=3)) for k in range(20_000)]  # 1.2 MB of text


@pytest.fixture(scope="module")
def text() -> bytes:
    lines = ["time,position,velocity,torque", *(",".join(map(repr, map(float, r))) for r in ROWS)]
    return ("\n".join(lines) + "\n").encode()


@pytest.mark.ci
@pytest.mark.parametrize("suffix", PACK)
def test_a_compressed_log_is_read_as_its_content(logs, write, task, text, suffix):
    path, plain = write(f"a.csv.{suffix}", PACK[suffix](text)), write("a.csv", text)
    assert recognize(task, path) == "compressed"
    assert [one.name for one in scan(task, logs).logs] == ["a.csv", f"a.csv.{suffix}"]
    log, same = compressed.read(path, task), csv.read(plain, task)
    assert log.frame.equals(same.frame)
    assert (log.sources, log.reasons) == (same.sources, same.reasons)


@pytest.mark.parametrize("suffix", PACK)
def test_a_fixed_format_is_that_of_the_content(logs, write, make_task, text, suffix):
    task = make_task(ingest={"format": "csv"})
    path = write(f"a.csv.{suffix}", PACK[suffix](text))
    write("b.gz", gzip.compress(b"\x89HDF\r\n\x1a\n" + bytes(100)))
    scanned = scan(task, logs)
    assert [log.name for log in scanned.logs] == [f"a.csv.{suffix}"]
    assert scanned.ignored == {"b.gz": "no log: no reader recognizes it"}
    assert recognize(task, path) == "compressed"
    assert compressed.read(path, task).frame.height == len(ROWS)
    with pytest.raises(Unreadable, match=r"is no hdf5 \(ingest.format\)"):
        compressed.read(path, make_task(ingest={"format": "hdf5"}))


@pytest.mark.parametrize("suffix", PACK)
def test_two_streams_in_a_file_are_one_log(write, task, text, suffix):
    half = text.index(b"\n", len(text) // 2) + 1
    path = write(f"a.csv.{suffix}", PACK[suffix](text[:half]) + PACK[suffix](text[half:]))
    assert compressed.read(path, task).frame.height == len(ROWS)


@pytest.mark.parametrize("suffix", ["gz", "xz", "zst"])  # bzip2 unpacks blocks of 900 kB
def test_of_a_cut_file_the_beginning_is_read(write, task, text, suffix):
    whole = PACK[suffix](text)
    log = compressed.read(write(f"a.csv.{suffix}", whole[: len(whole) // 2]), task)
    assert 0.25 * len(ROWS) < log.frame.height < 0.75 * len(ROWS)
    assert log.frame["angle"].to_list() == [float(row[1]) for row in ROWS[: log.frame.height]]
    assert [reason["check"] for reason in log.reasons] == ["cut_file", "cut_line"]


@pytest.mark.parametrize("suffix", PACK)
def test_a_damaged_file_is_refused(write, task, text, suffix):
    whole = bytearray(PACK[suffix](text))
    whole[len(whole) // 2 : len(whole) // 2 + 50] = bytes(50)
    with pytest.raises(Unreadable, match=r"is not an intact \w+ file"):
        compressed.read(write(f"a.csv.{suffix}", bytes(whole)), task)


def test_a_file_that_unpacks_to_too_much_is_refused(write, task, monkeypatch):
    monkeypatch.setattr(_limits, "SMALL", 1 << 20)
    path = write("a.csv.gz", gzip.compress(bytes(1 << 22)))
    with pytest.raises(Unreadable, match=r"unpack to more than 1048576 bytes.*gunzip LOG"):
        compressed.read(path, task)


def test_a_full_disk_is_not_blamed_on_the_log(write, task, text, monkeypatch):
    def full(_folder):
        raise OSError(28, "No space left on device")

    path = write("a.csv.gz", gzip.compress(text))
    monkeypatch.setattr(compressed, "_Zstandard", full)
    monkeypatch.setattr(gzip.GzipFile, "read", lambda *_: full(None))
    with pytest.raises(OSError, match="No space left"):
        compressed.read(path, task)


def test_an_archive_is_no_log(logs, write, task, text):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("a.csv")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    path = write("logs.tar.gz", gzip.compress(archive.getvalue()))
    assert "no log: an archive" in scan(task, logs).ignored["logs.tar.gz"]
    with pytest.raises(Unreadable, match="no reader recognizes"):
        compressed.read(path, task)


def test_the_name_of_a_log_does_not_matter(write, task, text):
    assert compressed.read(write("run", gzip.compress(text)), task).frame.height == len(ROWS)


def test_images_and_attributes_of_a_compressed_log(logs, home, make_task, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["robot"] = "r7"
        file["time"] = 0.01 * np.arange(8)
        for name in ("position", "velocity", "torque"):
            file[name] = np.ones(8)
        file["camera"] = np.arange(8 * 4 * 6 * 3, dtype=np.uint8).reshape(8, 4, 6, 3)
    (logs / "a.h5.gz").write_bytes(gzip.compress((tmp_path / "a.h5").read_bytes()))
    task = make_task(channels__camera={"role": "image", "source": "camera"})
    report = ingest.run(task, home, logs)
    (recording,) = load_recordings(home, report.artifact.ref)
    stored = np.load(recording.folder / "image-camera.npy")
    assert stored.ravel().tolist() == np.arange(8 * 4 * 6 * 3, dtype=np.uint8).tolist()
    assert compressed.READERS["compressed"].attributes(logs / "a.h5.gz")["robot"] == "r7"


def test_a_draft_of_a_compressed_log_is_that_of_its_content(write):
    time = 0.01 * np.arange(600)
    angle, speed = np.sin(2.1 * time), 2.1 * np.cos(2.1 * time)
    rows = zip(time, angle, speed, strict=True)
    lines = ["time;pos_deg;u_Nm", *(f"{t:.2f};{a:.4f};{b:.4f}" for t, a, b in rows)]
    content = ("\n".join(lines) + "\n").encode()
    packed = build("arm", write("a.csv.zst", PACK["zst"](content)))
    plain = build("arm", write("b.csv", content))
    assert packed.text.replace("a.csv.zst", "b.csv") == plain.text
