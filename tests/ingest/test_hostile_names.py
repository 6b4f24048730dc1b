"""Each file is its own failure domain: whatever lies beside a good log, the good log is read."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinemill.ingest import log_digest
from kinemill.ingest import stage as ingest
from kinemill.ingest.arrivals import find_new_logs
from kinemill.store.home import Home
from kinemill.store.json_io import valid_text
from kinemill.task import READERS
from kinemill.validate import stage as validate
from kinemill.validate.stage import load_checks

HEADER = "time,position,velocity,torque\n"
LONGEST = 255  # bytes of a name


def text(torque: float) -> bytes:
    """A hundred rows that no check has a word against; each torque makes another content."""
    rows = [f"{k / 100},{k / 10},10.0,{float(k) + torque}" for k in range(100)]
    return (HEADER + "\n".join(rows) + "\n").encode()


def write_file(folder: Path, name: bytes) -> Path:
    return folder / os.fsdecode(name)


def loop(folder: Path, name: bytes) -> None:
    one, other = (
        write_file(folder, b"a" + name[1:] + b".csv"),
        write_file(folder, b"b" + name[1:] + b".csv"),
    )
    one.symlink_to(other)
    other.symlink_to(one)


def linked(ending: bytes, target: str | None = None):
    """A link to a path, or to itself."""

    def link(folder: Path, name: bytes) -> None:
        path = write_file(folder, name + ending)
        path.symlink_to(path if target is None else target)

    return link


def written(ending: bytes, content: bytes):
    """A new file; never written through a pipe or a link of the same name."""

    def write_new(folder: Path, name: bytes) -> None:
        with write_file(folder, name + ending).open("xb") as file:
            file.write(content)

    return write_new


# What may lie beside good logs: (folder, name without ending) -> None; none of it is a good log.
BAD_NAMES = {
    "self link": linked(b".csv"),
    "loop": loop,
    "dangling": linked(b".csv", "not there"),
    "out": linked(b".csv", "../outside.csv"),
    "device": linked(b".csv", "/dev/zero"),
    "pipe": lambda folder, name: os.mkfifo(write_file(folder, name + b".csv")),
    "folder": lambda folder, name: write_file(folder, name + b".csv").mkdir(),
    "side-car pipe": lambda folder, name: os.mkfifo(write_file(folder, name + b".meta.json")),
    "side-car link": linked(b".meta.json"),
    "side-car text": written(b".meta.yaml", b'a: "\\ud800"\nb: 2001-99-99\n'),
    "empty": written(b".csv", b""),
    "noise": written(b".parquet", b"PAR1" + bytes(300)),
    "no log": written(b"", b"notes"),
}
NAMES = st.binary(min_size=1, max_size=LONGEST - len(b".meta.yaml")).map(
    lambda raw: b"x" + raw.replace(b"/", b"_").replace(b"\0", b"_").replace(b"~", b"-")
)


@pytest.mark.ci
@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    good=st.lists(NAMES.map(lambda name: name[: LONGEST - 4]), min_size=1, max_size=4, unique=True),
    bad=st.lists(st.tuples(st.sampled_from(sorted(BAD_NAMES)), NAMES), max_size=4),
)
def test_all_good_logs_are_read_whatever_lies_beside_them(make_task, tmp_path, good, bad):
    task, folder, home = make_task(), tmp_path / "any", Home(tmp_path / "any home")
    folder.mkdir()
    (tmp_path / "outside.csv").write_bytes(text(-1.0))
    try:
        for number, name in enumerate(good):
            write_file(folder, name + b".csv").write_bytes(text(number))
        for kind, name in bad:
            with suppress(FileExistsError, IsADirectoryError):  # it took a good log's name
                BAD_NAMES[kind](folder, name)
        report = ingest.run(task, home, folder)
        read = {entry["file"] for entry in report.files if entry["outcome"] == "episodes"}
        expected = {valid_text(os.fsdecode(name + b".csv")) for name in good}
        assert expected <= read
        json.dumps(report.files, ensure_ascii=False).encode()  # no name that cannot be written
        accepted = validate.run(task, home, report.artifact.ref)
        assert accepted.summary["accepted"] == len(good)
        assert ingest.run(task, home, folder).artifact.cached
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(home.root, ignore_errors=True)


@pytest.mark.parametrize("length", [246, 250, 251, 255])
def test_a_name_as_long_as_a_name_may_be_is_a_name(task, home, logs, write, swing, length):
    write("good.csv", swing)
    write("l" * (length - 4) + ".csv", swing[:-1])
    report = ingest.run(task, home, logs)
    assert [entry["outcome"] for entry in report.files] == ["episodes"] * 2
    assert ingest.run(task, home, logs).artifact.cached


@pytest.mark.usefixtures("remembered")
def test_a_name_that_is_no_utf_8_is_kept_shown_and_found_again(task, home, logs):
    write_file(logs, b"bad\xff\xfe.csv").write_bytes(text(0.0))
    (entry,) = ingest.run(task, home, logs).files
    assert (entry["file"], entry["outcome"]) == ("bad\\xff\\xfe.csv", "episodes")
    ingest.run(task, home, logs)
    again = ingest.run(task, home, logs)
    assert (again.artifact.cached, list(again.read), again.cached) == (True, [], 1)


def test_a_tree_deeper_than_the_stack_is_walked(task, home, logs, write, swing):
    write("good.csv", swing)
    here = os.open(logs, os.O_RDONLY)
    for _ in range(sys.getrecursionlimit() + 100):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("deep.csv", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(file, text(1.0))
    os.close(file)
    os.close(here)
    try:
        report = ingest.run(task, home, logs)
        assert [entry["outcome"] for entry in report.files] == ["episodes"] * 2
    finally:
        subprocess.run(["rm", "-rf", logs], check=True)  # shutil.rmtree recurses


def test_what_cannot_be_reached_is_named_with_the_reason(
    task, home, logs, write, swing, monkeypatch
):
    write("good.csv", swing)
    write("locked/inside.csv", swing[:-1])
    write("denied.csv", swing[:-2])
    (logs / "self.csv").symlink_to("self.csv")
    scandir, opened = os.scandir, Path.open

    def refuse(path):
        if os.fsdecode(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    def refusing_open(path, *arguments, **more):
        if path.name == "denied.csv":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments, **more)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(Path, "open", refusing_open)
    report = ingest.run(task, home, logs)
    entries = {entry["file"]: entry for entry in report.files}
    assert entries["good.csv"]["outcome"] == "episodes"
    assert entries["denied.csv"]["outcome"] == "unstable"
    assert entries["denied.csv"]["reasons"][0]["found"] == "cannot be read: Permission denied"
    assert report.ignored == {
        "locked/": "cannot be read: Permission denied",
        "self.csv": "cannot be read: Too many levels of symbolic links",
    }
    assert find_new_logs(task, home, logs).ids <= {entries["good.csv"]["hash"]}


def test_a_file_that_vanishes_while_it_is_read_costs_no_other(
    task, home, logs, write, swing, monkeypatch
):

    write("good.csv", swing)
    vanished, digest = write("gone.csv", swing[:-1]), log_digest.log_digest

    def vanishing(task, path):
        vanished.unlink(missing_ok=True)
        return digest(task, path)

    monkeypatch.setattr(log_digest, "log_digest", vanishing)
    entries = {entry["file"]: entry["outcome"] for entry in ingest.run(task, home, logs).files}
    assert entries == {"good.csv": "episodes", "gone.csv": "unstable"}


@pytest.mark.parametrize("error", [ValueError("odd bytes\nmore"), RecursionError(), KeyError("x")])
def test_a_reader_that_trips_over_one_log_reads_the_others(
    task, home, logs, write, swing, monkeypatch, error
):
    write("good.csv", swing)
    write("odd.csv", swing[:-1])
    reader = READERS["csv"]
    original = reader.read  # known once it was asked for

    def read(path, task):
        if b"\n0.99," not in path.read_bytes():
            raise error
        return original(path, task)

    monkeypatch.setitem(READERS._loaded, "csv", type(reader)(**{**vars(reader), "read": read}))
    entries = {entry["file"]: entry for entry in ingest.run(task, home, logs).files}
    assert entries["good.csv"]["outcome"] == "episodes"
    assert entries["odd.csv"]["outcome"] == "quarantined"
    assert type(error).__name__ in entries["odd.csv"]["reasons"][0]["found"]


def test_a_full_home_is_not_blamed_on_a_log(task, home, logs, write, swing, monkeypatch):
    from kinemill.ingest import recordings
    from kinemill.store.disk_space import DiskFull

    def full(frame, path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    write("good.csv", swing)
    monkeypatch.setattr(recordings, "write_rows", full)
    with pytest.raises(DiskFull):
        ingest.run(task, home, logs)


def test_a_check_that_trips_over_one_recording_judges_the_others(
    task, home, logs, write, swing, monkeypatch
):
    from kinemill.validate import episodes

    write("good.csv", swing)
    write("odd.csv", swing[:-1])
    original = episodes.apply_checks_to_track

    def tripping(values, task):
        if len(values["angle"]) < 100:
            raise ZeroDivisionError("by zero")
        return original(values, task)

    monkeypatch.setattr(episodes, "apply_checks_to_track", tripping)
    task = task.model_copy(
        update={"validation": task.validation.model_copy(update={"max_quarantined_share": 0.9})}
    )
    accepted = validate.run(task, home, ingest.run(task, home, logs).artifact.ref)
    assert (accepted.summary["accepted"], accepted.summary["quarantined"]) == (1, 1)
    assert all(check.passed for check in load_checks(home, accepted.ref) if check.blocking)
