"""`kinemill demo` runs in a temporary project that is removed, or in a kept one."""

import os
from pathlib import Path

import pytest

from kinemill.cli import run_command
from kinemill.cli.output import Output
from kinemill.store.home import Home
from kinemill.store.project import is_project, project_root
from kinemill.task import list_tasks

VARIABLES = ("KINEMILL_HOME", "KINEMILL_PROJECT", "KINEMILL_DATABASE")


@pytest.fixture
def demo(monkeypatch, kinemill, tmp_path):
    """Run the demo without its pipeline; return what the pipeline would have seen."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    observed = {}

    def run_task(task, logs, changed, *, is_kept):
        observed.update(task=task, is_kept=is_kept, project=project_root(), home=Home.find())
        observed.update(files=list_tasks(), logs=len(list(Home.find().logs(task).iterdir())))
        observed.update(variables={name: os.environ.get(name) for name in VARIABLES})
        return Output({})

    def write_logs(folder, task):
        folder.mkdir(parents=True)
        (folder / "a.csv").touch()

    monkeypatch.setattr(run_command, "run_task", run_task)
    monkeypatch.setattr("kinemill.control.sim.write_logs", write_logs)

    def run(*options):
        previous = dict(os.environ)
        kinemill("demo", *options)
        assert dict(os.environ) == previous
        return observed

    return run


def test_a_temporary_project_leaves_nothing_and_reaches_nothing_of_the_user(
    demo, monkeypatch, tmp_path
):
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("KINEMILL_DATABASE", "postgresql://mine")
    observed = demo()
    assert observed["home"].root == observed["project"] / "var"
    assert observed["variables"]["KINEMILL_DATABASE"] is None
    assert (observed["task"], observed["logs"], observed["is_kept"]) == ("cart_pole", 1, False)
    assert not observed["project"].exists()
    assert list(tmp_path.iterdir()) == []


def test_a_kept_folder_becomes_a_project_with_the_task(demo, tmp_path):
    observed = demo("--keep", "mill")
    assert observed["project"] == tmp_path / "mill"
    assert observed["home"].root == tmp_path / "mill" / "var"
    assert is_project(tmp_path / "mill")
    assert list(observed["files"]) == ["cart_pole"]
    assert observed["is_kept"]


def test_a_kept_project_stays_as_it_is_and_uses_the_home_that_is_set(demo, tmp_path, monkeypatch):
    demo("--keep", ".")
    task = Path("tasks/cart_pole.yaml")
    task.write_text(task.read_text() + "# mine\n")
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path / "other"))
    observed = demo("--keep", ".")
    assert task.read_text().endswith("# mine\n")
    assert observed["home"].root == tmp_path / "other"
