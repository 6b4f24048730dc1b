"""The examples, run as a user would run them."""

import ast
import shutil
import subprocess
import sys

import numpy as np
import pytest

from benchmarks._onboard import build_onboard
from benchmarks._policies import Chooser, Gains
from kinemill.export.bundle import seal
from kinemill.export.c99 import generate
from kinemill.export.policy import describe, write_policy
from kinemill.runtime import load
from kinemill.task.export import Export
from tests.conftest import ROOT
from tests.export.conftest import published, random_step
from tests.policies.motion.policies import SERVOS, of_gaits

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = published(
        random_step({"type": "gru", "hidden_size": 16}), tmp_path_factory.mktemp("m")
    )
    source = generate((folder / "step.onnx").read_bytes())
    (folder / "step.c").write_text(source.code)
    (folder / "step.h").write_text(source.header)
    seal(folder)
    return folder


def from_rest(simulator, steps=25):
    """(T, S): all zeros, the first step after `history - 1` more that only warm up."""
    states = np.zeros((1, simulator.history, 2), np.float32)
    past = np.zeros((1, simulator.history - 1, 1), np.float32)
    return simulator.rollout(states, past, np.zeros((1, steps, 1), np.float32))[0]


def test_the_python_example_needs_numpy_and_onnxruntime_alone(folder):
    path = EXAMPLES / "python" / "run_bundle.py"
    imported = {
        name.name.partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert imported - sys.stdlib_module_names == {"numpy", "onnxruntime"}
    done = subprocess.run(
        [sys.executable, path, folder], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "pendulum: 25 steps of 0.02 s from rest"
    angle, velocity = from_rest(load(folder))[-1]
    assert lines[1:3] == [f"  angle: {angle:.6g} rad", f"  velocity: {velocity:.6g} rad/s"]
    assert float(lines[3].rpartition(" ")[2]) == 0.0  # rollout equals step


@pytest.mark.parametrize("kind", [Gains, Chooser])
def test_the_python_example_of_a_policy_does_what_the_runtime_does(policy_folders, kind):
    path = EXAMPLES / "python" / "run_policy.py"
    command = [sys.executable, path, policy_folders[kind]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    policy = load(policy_folders[kind])
    still = np.zeros(len(policy.observation))
    expected = ", ".join(f"{np.ravel(policy.act(still))[0]:.6g}" for _ in range(5))
    (name,) = policy.actions
    assert done.stdout.splitlines()[1] == f"  {name}: {expected} {policy.units[name]}"


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
@pytest.mark.ci
def test_the_c_plus_plus_example_of_the_step_runs_as_the_onnx_file(folder, tmp_path):
    objects, program = tmp_path / "step.o", tmp_path / "run_step"
    flags = ["-Wall", "-Wextra", "-Werror", f"-I{folder}"]
    subprocess.run(["gcc", "-std=c99", *flags, "-c", folder / "step.c", "-o", objects], check=True)
    names = ["-DSTEP=pendulum_step", "-DNAME=PENDULUM"]
    source = EXAMPLES / "cpp" / "run_step.cpp"
    command = ["g++", "-std=c++17", *flags, *names, source, objects, "-o", program, "-lm"]
    subprocess.run(command, check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    simulator = load(folder)
    state, carry = np.zeros((1, 2), np.float32), simulator.initial_carry(1)
    for _ in range(25):
        state, *carry = simulator.step(state, np.zeros((1, 1), np.float32), *carry)
    np.testing.assert_allclose([float(line) for line in done.stdout.split()], state[0], atol=1e-6)


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
@pytest.mark.slow
def test_the_c_plus_plus_example_of_a_legged_robot_acts_as_the_onnx_file(tmp_path):
    """A motion, an incomplete observation, the rest of it, and the motion from its start."""
    module = of_gaits()
    more = {"servos": SERVOS}
    folder = tmp_path / "policy"
    folder.mkdir()
    write_policy(module, describe(module, "dog", "d" * 64), folder, Export(c99=True), more=more)
    program = build_onboard(folder, tmp_path / "run")
    random = np.random.default_rng(0)
    observed = random.normal(0.0, 0.3, (30, len(module.layout.observation))).astype(np.float32)
    observed[:, 3] = 1.0
    lines = [" ".join(f"{value:.9g}" for value in row) for row in observed]
    done = subprocess.run(
        [program, "--free"],
        input="\n".join([*lines[:10], "1 2 x", *lines[10:], "reset", *lines[:5], ""]),
        capture_output=True,
        text=True,
        check=True,
    )
    actual = np.array([[float(value) for value in row.split()] for row in done.stdout.splitlines()])
    policy, expected = load(folder), []
    for rows in (observed, observed[:5]):
        carry = policy.initial_carry(1)
        for row in rows:
            action, carry = policy.step({"observation": row[None]}, carry)
            expected.append(action[0])
    expected.insert(10, expected[9])  # held: the observation was not complete
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    errors = done.stderr.splitlines()
    assert errors[0] == "servo 0: kp 20 N m/rad, kv 0.5 N m s/rad, at most 3.40282e+38 N m"
    assert errors[-1] == "no action: the observation is not complete"
