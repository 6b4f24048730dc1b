"""`kinemill init` makes a folder in which all other commands work."""

import os
from pathlib import Path

import pytest

from kinemill.store.home import Home
from kinemill.task import list_tasks


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch, tmp_path):
    for name in ("KINEMILL_HOME", "KINEMILL_PROJECT", "KINEMILL_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_task_drafted_in_a_new_project_is_one_of_its_tasks(kinemill, log, tmp_path, monkeypatch):
    path = log("a.csv")
    result = kinemill("init", "mill", "--json")
    assert result["project"] == str(tmp_path / "mill")
    monkeypatch.chdir(tmp_path / "mill")
    kinemill("new", "arm", "--from", path)
    assert list(list_tasks()) == ["arm"]
    (file,) = kinemill("data", "check", path, "--task", "arm", "--json")["files"]
    assert file["rows"] == 600
    assert Home.find().root == Path.cwd() / "var"


def test_the_next_step_is_printed(kinemill, tmp_path, monkeypatch):
    created = kinemill("init", "mill", "--example", "reach").splitlines()
    assert created[-1] == "next  cd mill && kinemill task show reach"
    monkeypatch.chdir(tmp_path / "mill")
    complete = kinemill("init", ".").splitlines()
    assert complete == ["the project is complete", "next  kinemill new my_robot --from LOGS"]
    assert os.listdir("tasks") == ["reach.yaml"]  # noqa: PTH208
