"""Presets of the package are usable in every project; those of the project come first."""

import pytest

from kinemill.task.presets import list_presets, preset_overrides


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "workspace.yaml").touch()
    monkeypatch.setenv("KINEMILL_PROJECT", str(tmp_path))
    return tmp_path


def test_presets_of_the_package_need_no_project(tmp_path, monkeypatch):
    monkeypatch.delenv("KINEMILL_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert "small" in list_presets()["model"]


def test_a_preset_of_the_project_replaces_the_one_of_the_same_name(project):
    shipped = list_presets()
    (project / "presets" / "model").mkdir(parents=True)
    (project / "presets" / "model" / "small.yaml").write_text("learn.history: 99\n")
    (project / "presets" / "model" / "own.yaml").write_text("learn.history: 7\n")
    assert preset_overrides(["model=small"]) == {"learn.history": 99}
    assert preset_overrides(["model=own"]) == {"learn.history": 7}
    assert list(list_presets()["model"]) == sorted([*shipped["model"], "own"])


def test_a_variable_replaces_all_folders(project, tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMILL_PRESETS", str(tmp_path / "mine"))
    assert list_presets() == {}
