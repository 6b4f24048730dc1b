"""The examples that train from Python."""

import ast
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Queue

import h5py
import mujoco
import numpy as np
import polars as pl
import pytest

import kinemill.api as km
from kinemill import runtime
from kinemill_dagster.pipelines.instance import open_instance
from tests.conftest import ROOT, run_here
from tests.draft.test_motion import JOINTS, clip
from tests.examples.conftest import load_example
from tests.rest_server import ScriptedDagster, serve

plan = load_example("plan")


def code_lines(name: str) -> int:
    """Return the lines of an example without docstrings, comments and empty lines."""
    source = (ROOT / "examples" / "python" / f"{name}.py").read_text()
    lines = [line.strip() for line in source.splitlines()]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.FunctionDef):
            docstring = node.body[0]
            lines[docstring.lineno - 1 : docstring.end_lineno] = [""] * (
                docstring.end_lineno - docstring.lineno + 1
            )
    return sum(not line.startswith("#") for line in lines if line)


def test_documented_lines_of_scripts_are_counted_and_fewer_than_without_kinemill():
    page = (ROOT / "docs" / "tutorials" / "notebook.md").read_text()
    rows = re.findall(r"^\| `(\w+)\.py` \| (\d+) \| (\d+|one command)", page, re.MULTILINE)
    counted = {name: int(lines) for name, lines, _ in rows}
    assert counted == {name: code_lines(name) for name in counted}
    assert len(counted) == 5
    assert all(int(lines) <= int(most) for _, lines, most in rows if most.isdecimal())


def mass(seed, rows=2000):
    """Simulate a mass on a nonlinear spring under random steps of force."""
    random = np.random.default_rng(seed)
    force = np.repeat(random.uniform(-1, 1, rows // 50), 50)
    position, velocity = np.zeros(rows), np.zeros(rows)
    for k in range(rows - 1):
        push = 8 * force[k] - 0.8 * velocity[k] - 20 * np.sin(position[k])
        velocity[k + 1] = velocity[k] + 0.0025 * push
        position[k + 1] = position[k] + 0.0025 * velocity[k + 1]
    return pl.DataFrame({"position": position, "velocity": velocity, "force": force})


@pytest.mark.slow
def test_training_script_simulates_what_it_learned(home):
    logs = km.from_frames({f"run{seed}": mass(seed) for seed in range(6)}, dt=0.0025)
    simulation = load_example("train_dynamics").main(logs, steps=300)
    frame = simulation.to_polars()
    # From rest under 1 N for 0.25 s: 8 / 2 * 0.25**2 m without the spring.
    assert frame["position"][-1] == pytest.approx(0.23, abs=0.06)


@pytest.mark.ci
def test_imitation_script_continues_from_a_checkpoint(home, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    demonstrations = tmp_path / "pick_place.h5"
    with h5py.File(demonstrations, "w") as file:
        for number in range(12):
            joints, goal, actions = np.zeros((100, 3)), random.uniform(-0.5, 0.5, 3), []
            joints[0] = random.uniform(-0.5, 0.5, 3)
            for row in range(100):
                actions.append(np.clip(2 * (goal - joints[row]), -1, 1))
                joints[row + 1 : row + 2] = joints[row] + 0.05 * actions[-1]
            episode = file.create_group(f"episode_{number}")
            episode["observations/joint_pos"] = joints + random.normal(0, 1e-3, joints.shape)
            episode["observations/target"] = np.tile(goal, (100, 1))
            episode["actions"] = actions
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path / "tasks"))
    (tmp_path / "tasks").mkdir()
    options = ("--learn", "imitation", "--from", demonstrations, "--rate", "20")
    assert run_here("new", "pick_place", *options).returncode == 0
    task = str(tmp_path / "tasks" / "pick_place.yaml")
    results, continued = load_example("imitate").main(task, str(demonstrations), steps=200)
    assert max(results.rmse.values()) < 0.15  # of actions in -1 to 1
    assert 0.0 <= continued.history["eval/rest"][-1][1] <= 1.0  # of the script


POLES = """
<mujoco>
  <option timestep="0.01" integrator="implicitfast"/>
  <worldbody>
    <body name="cart">
      <joint name="cart" type="slide" axis="1 0 0" damping="1"/>
      <geom type="box" size="0.1 0.06 0.04" mass="1" contype="0" conaffinity="0"/>
      <body name="inner">
        <joint name="inner" axis="0 -1 0" damping="0.02"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.6" size="0.02" mass="0.2" contype="0"/>
        <body name="outer" pos="0 0 -0.6">
          <joint name="outer" axis="0 -1 0" damping="0.02"/>
          <geom type="capsule" fromto="0 0 0 0 0 -0.6" size="0.02" mass="0.2" contype="0"/>
          <site name="tip" pos="0 0 -0.6"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="slide" joint="cart" gear="20" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""


def swings(seed: int, rows: int = 150) -> pl.DataFrame:
    """Simulate the poles under random forces; a row each 0.02 s."""
    model = mujoco.MjModel.from_xml_string(POLES)
    data = mujoco.MjData(model)
    random = np.random.default_rng(seed)
    data.qpos[:] = random.uniform([-0.5, -3, -1], [0.5, 3, 1])
    force = np.repeat(random.uniform(-0.5, 0.5, -(-rows // 10)), 10)[:rows]
    states = []
    for push in force:
        states.append(np.concatenate([data.qpos, data.qvel]))
        data.ctrl[:] = push
        mujoco.mj_step(model, data, nstep=2)
    names = [*plan.JOINTS, *(f"{name}_velocity" for name in plan.JOINTS)]
    return pl.DataFrame({**dict(zip(names, np.array(states).T, strict=True)), "slide": force})


@pytest.mark.slow
def test_planning_script_plans_in_a_model_file_with_what_it_learned(home, tmp_path):
    (tmp_path / "poles.xml").write_text(POLES)
    logs = km.from_frames({f"run{seed}": swings(seed) for seed in range(8)}, dt=0.02)
    errors, episode = plan.main(str(tmp_path / "poles.xml"), logs, steps=150, seconds=0.4)
    by_step = errors.to_polars().filter(pl.col("model") == "model")["by_step"].to_list()
    assert [len(steps) for steps in by_step] == [9] * 6
    assert all(steps[0] < steps[-1] for steps in by_step)
    assert np.isfinite(episode.document["cost"])
    assert episode.episodes[0].actions.shape == (20, 1)


@pytest.mark.ci
def test_cutting_script_trains_sub_steps_by_evolution_and_ppo(home):
    task = ROOT / "examples" / "reinforcement" / "stock_cutting_structured.yaml"
    trained = load_example("cut").main(str(task), steps=256)
    for name, training in trained.items():
        assert training.task.learn.algorithm.type == name
        assert training.policy.agents == ("piece", "cut")
        # A forbidden choice is an error of the environment.
        assert len(training.trials(episodes=2).returns) == 2
    assert trained["ppo"].task.learn.algorithm.critic == "shared"


@dataclass
class RunningDagster(ScriptedDagster):
    """Hands a task to the test, which runs its chain.

    Attributes:
        tasks: whose run was requested.
    """

    tasks: Queue = field(default_factory=Queue)

    def launchRun(self, params):  # noqa: N802
        """Wait for the chain to start, and return the id of its run."""
        self.tasks.put(params["selector"]["assetSelection"][0]["path"][0])
        while not (runs := self.instance.get_runs(limit=1)):
            time.sleep(0.1)
        return {"__typename": "LaunchRunSuccess", "run": {"runId": runs[0].run_id}}


@pytest.mark.slow
def test_clips_become_an_onnx_file_over_rest(tracked_home, tmp_path, monkeypatch):
    (tmp_path / "clips").mkdir()
    (tmp_path / "tasks").mkdir()
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path / "tasks"))
    for number, command in enumerate([(0.1, 0.3), (0.2, -0.2), (0.0, 0.1), (0.15, -0.4)]):
        clip(tmp_path / "clips" / f"walk_{number}.json", *command)
    files = str(tmp_path / "clips"), str(tmp_path / "policy.onnx")
    script = load_example("motion_over_rest").main
    with open_instance(tracked_home) as instance, ThreadPoolExecutor() as threads:
        dagster = RunningDagster(instance, ("gait",))
        with serve(tracked_home, instance, dagster.query, pia="promoter") as (url, tokens):
            monkeypatch.setenv("KINEMILL_URL", url)
            monkeypatch.setenv("KINEMILL_TOKEN", tokens["pia"])
            script_run = threads.submit(script, "gait", *files, epochs=1)
            run_here("run", dagster.tasks.get(timeout=300.0))
            run = script_run.result(300.0)
    assert run["status"] == "completed"
    policy = runtime.load(files[1])
    assert policy.actions == tuple(f"{joint}_target" for joint in JOINTS)
    assert policy.act(np.zeros(len(policy.observation))).shape == (len(JOINTS),)
