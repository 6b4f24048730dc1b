"""The project is the nearest folder with tasks/ and workspace.yaml, wherever the package lies."""

import pytest

from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.store.project import project_root, require_project, tasks_folder


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in ("KINEMILL_PROJECT", "KINEMILL_TASKS", "KINEMILL_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "mill"
    (folder / "tasks" / "below").mkdir(parents=True)
    (folder / "workspace.yaml").write_text("load_from: []\n")
    return folder


@pytest.mark.parametrize("below", [".", "tasks", "tasks/below"])
def test_the_project_is_found_from_the_current_folder_upward(project, monkeypatch, below):
    monkeypatch.chdir(project / below)
    assert project_root() == project
    assert tasks_folder() == project / "tasks"
    assert Home.find().root == project / "var"


def test_the_nearest_project_is_used(project, monkeypatch):
    inner = project / "tasks" / "below"
    (inner / "tasks").mkdir()
    (inner / "workspace.yaml").touch()
    monkeypatch.chdir(inner)
    assert project_root() == inner


def test_variables_replace_the_current_folder(project, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KINEMILL_PROJECT", str(project))
    assert tasks_folder() == project / "tasks"
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path / "others"))
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path / "home"))
    assert (tasks_folder(), Home.find().root) == (tmp_path / "others", tmp_path / "home")


def test_outside_of_a_project_the_error_names_folder_expectation_and_fix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project_root() is None
    with pytest.raises(BadInput) as refused:
        tasks_folder()
    error = refused.value
    assert error.where == str(tmp_path)
    assert "workspace.yaml" in error.expected
    assert "kinemill init" in error.fix
    with pytest.raises(BadInput, match="KINEMILL_HOME"):
        Home.find()


def test_a_variable_that_names_no_project_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMILL_PROJECT", str(tmp_path))
    with pytest.raises(BadInput, match="KINEMILL_PROJECT="):
        require_project()
