"""Presets of the package are usable in every project; those of the project come first."""

import pytest

from kinemill.errors import BadInput
from kinemill.task import load_task
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


def test_presets_are_named_settings_of_every_task():
    presets = list_presets()
    assert {"wrappers", "model"} <= set(presets)
    for part, names in presets.items():
        for name in names:
            task = "mini_bdx" if part == "physics" else "cartpole_rl"
            load_task(task, preset_overrides([f"{part}={name}"]))
    task = load_task("cartpole_rl", preset_overrides(["wrappers=vector_obs", "model=small"]))
    assert [wrapper.type for wrapper in task.environment.wrappers] == ["vector_obs"]
    assert task.learn.model.hidden_sizes == [32, 32]
    assert (
        load_task("pendulum", preset_overrides(["model=small_transformer"])).learn.model.type
        == "transformer"
    )


def test_preset_of_another_learn_type_is_refused_by_its_name():
    task = load_task("pendulum")
    with pytest.raises(
        BadInput, match=r"preset 'algorithm=ppo': does not apply to pendulum: "
    ) as e:
        preset_overrides(["model=small", "algorithm=ppo"], task)
    assert "learn.algorithm is no setting of a task with learn.type dynamics" in str(e.value)
    assert "model=small" in str(e.value).partition("expected one of ")[2]
    assert preset_overrides(["algorithm=ppo"], load_task("cartpole_rl"))["learn.num_envs"] > 0
    with pytest.raises(BadInput, match=r"environment\.wrappers is no setting"):
        preset_overrides(["wrappers=normalized"], task)


@pytest.mark.parametrize(
    ("item", "message"),
    [("model", "not part=preset"), ("modle=small", "'model'"), ("model=smal", "'small'")],
)
def test_an_unknown_preset_is_refused(item, message):
    with pytest.raises(BadInput, match=message):
        preset_overrides([item])
