"""`kinemill model rollout --expert` and `transfer`: demonstrations and environment variants."""

import json

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.cli.transfer_matrix import USUAL, matrix, task_under
from kinemill.policies.environments import make_environment
from kinemill.policies.environments.kinds.reach import Postures
from kinemill.task import load_task
from tests.conftest import EXAMPLES

TASK = EXAMPLES / "reach.yaml"


def message(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_an_expert_writes_demonstrations_that_a_person_hears_of(tmp_path):
    result = message("model", "rollout", TASK, "--expert", "--episodes", 3, "--to", tmp_path)
    assert (result["episodes"], result["written"], result["success"]) == (3, 3, 1.0)
    assert {run["file"] for run in result["runs"]} == {str(path) for path in tmp_path.iterdir()}
    plain = CliRunner().invoke(
        app, ["model", "rollout", str(TASK), "--expert", "--episodes", "1", "--to", str(tmp_path)]
    )
    assert "1 of 1 episodes are in" in plain.output
    assert len(list(tmp_path.iterdir())) == 3  # the same episode again is the same file


def test_a_planner_on_true_physics_is_an_expert_too(tmp_path):
    """Half a second of a pendulum under model-predictive control; it ends far from upright."""
    sets = ("environment.type=plant", "environment.steps=25", "control.controller.samples=16")
    plant = [part for subset in sets for part in ("--set", subset)]
    by = ("--controller", "mppi", "--model", "true", "--failures", "--to", tmp_path)
    result = message("model", "rollout", EXAMPLES / "pendulum.yaml", "--expert", *by, *plant)
    (log,) = tmp_path.iterdir()
    assert result["runs"][0]["rows"] == 25
    torques = [float(line.split(",")[3]) for line in log.read_text().splitlines()[1:]]
    assert max(map(abs, torques)) <= 1.0
    assert len(set(torques)) > 5


def test_a_variant_becomes_a_part_of_every_episode():
    task = task_under(load_task(TASK), "late")
    environment = make_environment(task)
    environment.reset(seed=0)
    assert environment.unwrapped.parameters["delay"] == 2.0
    assert task_under(task, USUAL) is task


def test_a_policy_is_tried_under_each_variant():
    """The expert knows nothing of a delay of 0.3 s: its springs swing, and it reaches less."""
    very_late = {"environment.variants": {"late": {"delay": 15}}, "environment.trials.episodes": 8}
    task = load_task(TASK, very_late)
    result = matrix(task, {USUAL: Postures()}, [USUAL, "late"])
    assert result[USUAL][USUAL]["success"] == 1.0
    assert result[USUAL]["late"]["success"] < 0.7
    low, high = result[USUAL]["late"]["success_interval"]
    assert low <= result[USUAL]["late"]["success"] <= high


@pytest.mark.slow  # trains twice
def test_transfer_trains_and_tries_each_variant(tmp_path):
    some = ["learn.steps=60", "learn.eval_every=30", "environment.trials.episodes=4"]
    sets = [part for one in some for part in ("--set", one)]
    two = ("--variant", USUAL, "--variant", "weak")
    result = message("model", "transfer", TASK, *two, "--episodes", 20, "--to", tmp_path, *sets)
    assert set(result["trained"]) == {USUAL, "weak"}
    for under in result["trained"].values():
        assert all(0.0 <= one["success"] <= 1.0 for one in under.values())
