"""Metrics as JSON lines: cut by kills, gone on with, read while they grow."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from kinemill.tracking.jsonl import JsonLines, Reader, read_points
from tests.conftest import ROOT


def write(path, *steps, **more):
    tracker = JsonLines(path)
    for step in steps:
        tracker.log_metrics({"train/loss": 1.0 / step, **more}, step)
    tracker.close(ended_well=True)


def steps_in(path):
    return [point["step"] for point in read_points(path)]


def test_a_line_is_a_step_a_time_and_its_values_null_where_not_finite(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, 4, lr=float("nan"))
    (line,) = path.read_text().splitlines()
    document = json.loads(line)
    assert 1.7e9 < document.pop("time") < 1e11  # s since the epoch
    assert document == {"step": 4, "train/loss": 0.25, "lr": None}


def test_every_cut_of_the_file_loses_the_cut_line_alone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, 1, 2, 3)
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert steps_in(path) == [1, 2, 3][: sum(end <= length for end in ends)]


@pytest.mark.parametrize("cut", [0, 1, 30])
def test_going_on_from_a_checkpoint_drops_what_is_made_again(tmp_path, cut):
    path = tmp_path / "metrics.jsonl"
    write(path, 10, 20, 30, 40)
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])
    write(path, 30, 40, 50)
    assert steps_in(path) == [10, 20, 30, 40, 50]


def test_two_lines_of_one_step_stay_when_they_are_of_one_attempt(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for _ in range(2):
        tracker = JsonLines(path)
        tracker.log_metrics({"train/loss": 0.5}, 10)
        tracker.log_metrics({"validation/multi_step": 0.7}, 10)
        tracker.log_metrics({"train/loss": 0.4}, 20)
        tracker.close(ended_well=True)
    assert steps_in(path) == [10, 10, 20]


def test_what_is_written_is_there_after_a_kill_without_a_flush(tmp_path):
    path = tmp_path / "metrics.jsonl"
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from kinemill.tracking.jsonl import JsonLines\n"
        "tracker = JsonLines(Path(sys.argv[1]))\n"
        "for step in range(1, 101): tracker.log_metrics({'loss': 1.0}, step)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert steps_in(path) == list(range(1, 101))


def test_what_a_full_disk_does_not_take_comes_with_the_next_line(tmp_path, monkeypatch):
    path, full, really = tmp_path / "metrics.jsonl", [], os.pwrite

    def pwrite(file, data, at):
        if "all" in full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(file, data[:7] if "half" in full else data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    tracker = JsonLines(path)
    tracker.log_metrics({"loss": 1.0}, 1)
    for how in ("all", "half"):
        full.append(how)
        with pytest.raises(OSError, match=r"No space left|the disk took 7 of"):
            tracker.log_metrics({"loss": 1.0}, 2 if how == "all" else 3)
        assert steps_in(path) == [1]
        full.clear()
    tracker.log_metrics({"loss": 1.0}, 4)
    tracker.close(ended_well=True)
    assert steps_in(path) == [1, 2, 3, 4]


def test_a_reader_yields_what_came_since_and_all_anew_where_the_file_was_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    reader = Reader(path)
    assert list(reader.new()) == []  # it is not there yet
    write(path, 10, 20)
    assert [point["step"] for point in reader.new()] == [10, 20]
    with path.open("ab") as file:
        file.write(b'{"step": 30, "time"')
        file.flush()
        assert list(reader.new()) == []
        file.write(b': 1.0, "loss": 2.0}\n')
    assert list(reader.new()) == [{"step": 30, "time": 1.0, "loss": 2.0}]
    write(path, 20, 30)  # another attempt
    assert [point["step"] for point in reader.new()] == [10, 20, 30]
