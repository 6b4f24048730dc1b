"""The examples that train from Python."""

import ast

import h5py
import numpy as np
import polars as pl
import pytest

import kinemill.api as km
from tests.conftest import ROOT, run_here
from tests.examples.conftest import load_example


def statements(name: str) -> int:
    """Return the lines of code of an example, without docstrings."""
    tree = ast.parse((ROOT / "examples" / "python" / f"{name}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef):
            node.body = node.body[1:]
    return len([line for line in ast.unparse(tree).splitlines() if line])


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


@pytest.mark.ci
def test_training_script_simulates_what_it_learned(home):
    logs = km.from_frames({f"run{seed}": mass(seed) for seed in range(6)}, dt=0.0025)
    simulation = load_example("train_dynamics").main(logs, steps=300)
    frame = simulation.to_polars()
    # From rest under 1 N for 0.25 s: 8 / 2 * 0.25**2 m without the spring.
    assert frame["position"][-1] == pytest.approx(0.23, abs=0.06)
    assert statements("train_dynamics") <= 40  # as many as with a hosted trainer


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
    results = load_example("imitate").main(task, str(demonstrations), steps=200)
    assert max(results.rmse.values()) < 0.15  # of actions in -1 to 1
    assert statements("imitate") <= 12
