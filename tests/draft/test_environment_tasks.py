"""`gym:ID` in the place of a task: drafted once, run without a file, cached the second time."""

import json

import pytest
from typer.testing import CliRunner

import kinemill.api as km
from kinemill.cli.app import app
from kinemill.draft import environment_tasks
from kinemill.draft.environment_tasks import drafted_task, task_name_of
from kinemill.task import load_task

BRIEF = {
    "learn.steps": 64,
    "learn.eval_every": 64,
    "learn.algorithm.n_steps": 16,
    "learn.num_envs": 2,
    "learn.batch_size": 16,
    "environment.trials": {"episodes": 2, "n_eval_episodes": 2},
}


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ("CartPole-v1", "cart_pole_v1"),
        ("LunarLander-v3", "lunar_lander_v3"),
        ("ALE/Pong-v5", "pong_v5"),
        ("FrozenLake8x8-v1", "frozen_lake8x8_v1"),
        ("envs/door.py:OpenDoor", "open_door"),
        ("robots/biped.xml", "biped"),
    ],
)
def test_the_name_of_a_task_follows_from_its_environment(environment, name):
    assert task_name_of(environment) == name


@pytest.fixture
def empty_project(tmp_path, monkeypatch):
    """A project without task files, and its home."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "workspace.yaml").touch()
    monkeypatch.delenv("KINEMILL_TASKS")
    monkeypatch.setenv("KINEMILL_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_environment_is_drafted_once_and_a_file_of_the_project_takes_its_place(
    home, empty_project, monkeypatch
):
    path = drafted_task("gym:CartPole-v1", home)
    assert path.is_relative_to(home.root)
    assert load_task(path).environment.id == "CartPole-v1"
    monkeypatch.setattr(environment_tasks, "build_reinforcement", None)  # it is not drafted again
    assert drafted_task("gym:CartPole-v1", home) == path
    own = empty_project / "tasks" / "cart_pole_v1.yaml"
    own.write_text(path.read_text())
    assert drafted_task("gym:CartPole-v1", home) == own


@pytest.mark.ci
def test_python_takes_presets_and_the_second_training_is_cached(home, empty_project):
    how = {"presets": ["algorithm=a2c", "model=small", "runner=in_process"], "overrides": BRIEF}
    first = km.train("gym:CartPole-v1", **how, progress=False, track=False)
    assert (first.task.name, first.cached) == ("cart_pole_v1", False)
    learn = first.task.learn
    assert (learn.algorithm.type, learn.model.hidden_sizes) == ("a2c", [32, 32])
    assert (learn.algorithm.n_steps, learn.runner.type) == (16, "in_process")
    assert km.train("gym:CartPole-v1", **how, progress=False, track=False).cached
    assert km.load_task("cart_pole_v1").environment.id == "CartPole-v1"  # by its name from now on


def output_of(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_config_shows_where_each_value_is_from(home, empty_project):
    options = ["--with", "algorithm=a2c", "--with", "wrappers=stacked", "--set", "learn.seed=3"]
    settings = json.loads(output_of("config", "gym:CartPole-v1", *options, "--json"))["settings"]
    origins = {setting["key"]: (setting["value"], setting["origin"]) for setting in settings}
    assert origins["learn.seed"] == (3, "--set learn.seed")
    assert origins["learn.algorithm.type"] == ("a2c", "--with algorithm=a2c")
    assert origins["environment.wrappers.0.frames"] == (4, "--with wrappers=stacked")
    assert origins["learn.grad_clip"] == (0.5, "default")
    value, line = origins["environment.id"]
    file, _, number = line.partition(":")
    draft = drafted_task("gym:CartPole-v1", home)
    assert (value, file) == ("CartPole-v1", draft.name)
    assert "id: " in draft.read_text().splitlines()[int(number) - 1]
    assert "learn.seed: 3 " in output_of("config", "gym:CartPole-v1", *options)
