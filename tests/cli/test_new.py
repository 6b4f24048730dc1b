"""`kinemill new`: a task file from a log, checked before it is written."""

import json

import h5py
import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator

from kinemill.errors import BadInput
from kinemill.task import load_task


def test_a_drafted_task_is_among_the_tasks_and_takes_its_log(swing, log, kinemill):
    path = log("a.csv")
    message = kinemill("new", "mine", "--from", path, "--json")
    task = load_task("mine")
    assert (message["states"], message["actions"]) == (["angle", "velocity"], ["torque"])
    assert message["dt"] == 0.01
    assert str(task.path) == message["file"]
    (file,) = kinemill("data", "check", path, "--task", "mine", "--json")["files"]
    assert (file["outcome"], file["rows"]) == ("episodes", 600)


def test_a_file_of_another_name_is_refused_and_one_of_its_own_is_written(
    swing, log, kinemill, tmp_path
):
    path = log("a.csv")
    with pytest.raises(BadInput, match="must be that of the task"):
        kinemill("new", "mine", "--from", path, "--to", tmp_path / "other.yaml")
    target = tmp_path / "mine.yaml"
    said = kinemill("new", "mine", "--from", path, "--to", target)
    assert "observed" in said
    assert "torque" in said
    assert "1 log: 1 accepted" in said
    assert load_task(target).channels["velocity"].derivative_of == "angle"


def test_explain_shows_the_facts_of_each_column_and_the_rule(swing, log, kinemill, tmp_path):
    said = kinemill(
        "new", "mine", "--from", log("a.csv"), "--to", tmp_path / "mine.yaml", "--explain"
    )
    assert "Clock: time in s" in said
    assert "facts and rules" in said
    assert "held" in said


def test_a_log_with_images_is_drafted_and_its_guesses_are_those_of_channels(
    swing, tmp_path, kinemill
):
    seconds = np.arange(300) / 50
    with h5py.File(tmp_path / "camera.h5", "w") as file:
        file["pos"], file["vel"], file["u"] = np.sin(seconds), np.cos(seconds), np.cos(3 * seconds)
        file["camera"] = np.zeros((300, 8, 8, 3), np.uint8)
        file["note"] = np.array([b"auto"] * 300)
    message = kinemill("new", "mine", "--from", tmp_path / "camera.h5", "--rate", "50", "--json")
    assert set(message["guesses"]) == {"pos", "vel", "u"}
    assert load_task("mine").states == ["pos", "vel"]
    kinemill("data", "check", tmp_path / "camera.h5", "--task", "mine")


def test_a_drafted_task_names_the_schema_beside_it(swing, log, kinemill, tmp_path):
    target = tmp_path / "mine.yaml"
    kinemill("new", "mine", "--from", log("a.csv"), "--to", target)
    first = target.read_text().splitlines()[0]
    schema = json.loads(
        (tmp_path / first.removeprefix("# yaml-language-server: $schema=")).read_text()
    )
    value = yaml.safe_load(target.read_text())
    assert list(Draft202012Validator(schema).iter_errors(value)) == []


def test_a_policy_is_drafted_from_demonstrations(swing, log, kinemill):
    for name, phase in (("a.csv", 0.0), ("b.csv", 1.0), ("c.csv", 2.0)):
        folder = log(name, phase).parent
    message = kinemill("new", "cloned_swing", "--learn", "imitation", "--from", folder, "--json")
    assert load_task("cloned_swing").learn.type == "imitation"
    assert (message["actions"], message["media"], message["problem"]) == (["torque"], [], None)
    assert [file["outcome"] for file in message["logs"]] == ["episodes"] * 3
    kinemill("data", "check", folder, "--task", "cloned_swing")


def test_a_policy_is_drafted_from_an_environment(swing, kinemill):
    said = kinemill("new", "cart", "--learn", "reinforcement", "--env", "CartPole-v1")
    assert "goal: a mean return of 475" in said
    assert "2 choices" in said
    assert load_task("cart").environment.id == "CartPole-v1"


def test_limits_of_a_robot_file_are_in_the_table(swing, log, kinemill, tmp_path):
    limit = '<limit lower="-3" upper="3" velocity="4" effort="5"/>'
    joint = f'<joint name="velocity_joint" type="revolute">{limit}</joint>'
    (tmp_path / "rod.urdf").write_text(f'<robot name="rod">{joint}</robot>')
    said = kinemill("new", "rod", "--from", log("a.csv"), "--robot", tmp_path / "rod.urdf")
    assert "joints of the robot file" in said
    assert "no channel has its name" in said


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--learn", "imitation"), "--learn imitation: has no logs"),
        ((), "--learn dynamics: has no logs"),
        (("--learn", "reinforcement"), "--learn reinforcement: has no environment"),
        (("--learn", "motion", "--from", ".", "--env", "CartPole-v1"), "has an environment"),
        (
            ("--learn", "reinforcement", "--env", "CartPole-v1", "--from", "."),
            "uses no logs, so --from has no effect",
        ),
    ],
)
def test_options_that_do_not_fit_the_learn_type_are_refused(swing, kinemill, options, problem):
    with pytest.raises(BadInput, match=problem):
        kinemill("new", "mine", *options)
