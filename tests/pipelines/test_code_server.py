"""The code server that webserver and daemon share: its workspace file, and when it loads again."""

import subprocess
import sys

import psutil
import pytest
import yaml

from kinemill_dagster.pipelines.code_server import (
    MODULE,
    definition_files,
    is_alive,
    newest_child,
    open_code_server,
)
from tests.pipelines.conftest import TINY

OURS = {"python_module": {"module_name": MODULE, "location_name": "mill"}}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one task."""
    monkeypatch.setenv("KINEMILL_PROJECT", str(tmp_path))
    monkeypatch.delenv("KINEMILL_TASKS", raising=False)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "tiny.yaml").write_text(TINY)
    return tmp_path


def write_workspace(project, *entries):
    (project / "workspace.yaml").write_text(yaml.safe_dump({"load_from": list(entries)}))


def test_the_module_becomes_the_server_and_other_locations_stay(project):
    write_workspace(project, OURS, {"python_file": {"relative_path": "own/plots.py"}})
    with open_code_server(project) as server:
        listed = yaml.safe_load(server.workspace.read_text())["load_from"]
        assert listed == [
            {"grpc_server": {"socket": str(server.socket), "location_name": "mill"}},
            {"python_file": {"relative_path": str(project / "own" / "plots.py")}},
        ]
        assert server.folder.stat().st_mode & 0o077 == 0  # whoever opens the socket runs code
        assert len(str(server.socket)) < 108
    assert not server.folder.exists()


def test_without_the_module_in_the_workspace_there_is_no_server(project):
    write_workspace(project, {"python_file": "own.py"})
    with open_code_server(project) as server:
        assert server is None


def test_a_new_or_changed_or_deleted_task_file_is_a_change(project):
    write_workspace(project, OURS)
    previous, other = definition_files(project), project / "tasks" / "other.yaml"
    other.write_text(TINY.replace("task: tiny", "task: other"))
    added = definition_files(project)
    assert (len(previous), len(added)) == (1, 2)
    other.write_text(other.read_text() + "\n")
    assert definition_files(project) != added
    other.unlink()
    assert definition_files(project) == previous


def test_the_newest_child_holds_the_definitions_until_it_ends():
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleep) as child:
        holder = newest_child(psutil.Process().pid)
        assert holder.pid == child.pid
        assert is_alive(holder)
        child.kill()
        child.wait()
        assert not is_alive(holder)
