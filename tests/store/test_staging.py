"""Staging: what killed processes left is swept, and what live ones write is kept."""

import os
import subprocess
import sys

from kinemill.store import aside_of, staging
from kinemill.store.staging import staging_path, sweep_staging


def test_leftovers_of_dead_processes_alone_are_swept(home, monkeypatch):
    ours = staging_path(home, "raw", ".csv.gz")
    ours.write_text("x")
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as live,
        subprocess.Popen([sys.executable, "-c", ""]) as dead,
    ):
        dead.wait()
        marked = {}
        for name, pid in (("live", live.pid), ("dead", dead.pid)):
            monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
            marked[name] = staging_path(home, "raw", ".csv"), staging_path(home, "recording-arm")
            marked[name][0].write_text("x")
            marked[name][1].mkdir()
            (marked[name][1] / "track").write_text("x")
        monkeypatch.setattr(staging, "_host", lambda: "00000000")
        foreign = staging_path(home, "raw")
        foreign.write_text("x")
        monkeypatch.undo()
        unmarked = home.store / ".staging" / "gone-1"
        unmarked.write_text("x")
        sweep_staging(home)
        kept = {ours, *marked["live"], foreign, unmarked}
        assert {*(home.store / ".staging").iterdir()} == kept
        live.communicate(b"\n")


def test_files_that_a_killed_process_was_replacing_are_swept(home):
    code = "import sys; from kinemill.store import aside_of; from pathlib import Path\n"
    code += "aside_of(Path(sys.argv[1])).touch(); aside_of(Path(sys.argv[2])).touch()\n"
    code += "aside_of(Path(sys.argv[3])).touch()"
    places = [home.store / name / "arm.json" for name in ("pending", "index/tiny")]
    places.append(home.dagster / "refs/runs/0a1b/arm/dataset.json")
    subprocess.run([sys.executable, "-c", code, *map(str, places)], check=True)
    live = aside_of(places[0])
    live.touch()
    assert len([*home.root.rglob(".aside-*")]) == 4
    sweep_staging(home)
    assert [*home.root.rglob(".aside-*")] == [live]
