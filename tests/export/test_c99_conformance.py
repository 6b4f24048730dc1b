"""C code of every architecture, channel kind and window gives the numbers of the ONNX files.

The architectures, encodings and channel kinds come from the registries and the task model, so a new
one is tested without an edit here.
"""

import ctypes
import itertools
import json
import subprocess
from typing import get_args

import numpy as np
import pytest
import torch

from kinemill.export.c99 import compiler as c_compiler
from kinemill.export.c99 import generate
from kinemill.export.c99.compiler import compiler
from kinemill.export.c99.rollout import compile_rollout
from kinemill.export.c99.source import sizes_of
from kinemill.runtime import Simulator, load, wrapped
from kinemill.task.channels import Channel
from kinemill.task.document import Task
from kinemill.task.plugins import ENCODINGS, MODELS
from kinemill.train.layout import Window, layout_of
from kinemill.train.relations import Integrator
from kinemill.train.step import make_step
from tests.export.conftest import ensemble_of, published
from tests.models.options import OPTIONS

pytestmark = pytest.mark.ci

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC")
KINDS = get_args(Channel.model_fields["kind"].annotation)
WINDOWS, HISTORIES = get_args(Window), (1, 4)
ACTION = {"torque": {"role": "action", "unit": "N*m", "limits": [-6, 6]}}
# What a member of a family needs beyond its defaults.
NEEDS = {"cos_sin": {"period": 3.0}}
EQUATIONS = {"rigid_body", "physics", "equations"}  # want accelerations
ALPHA = {"alpha": {"relation": "derivative", "of": "speed"}}


def states_of(kind: str) -> dict:
    """Return the channels of a position of one kind, with four elements if the kind needs them."""
    unit = {"angle": "rad", "quaternion": "1"}.get(kind, "m")
    position = {"role": "state", "kind": kind, "unit": unit}
    speed = {"role": "state", "unit": f"{unit}/s" if unit != "1" else "rad/s", "limits": [-30, 30]}
    if kind == "quaternion":
        return {f"turn_{part}": position for part in "wxyz"} | {"speed": speed}
    return {"position": position, "speed": {**speed, "derivative_of": "position"}}


def settings_of(model: str) -> dict:
    settings = {"type": model, **OPTIONS.get(model, {})}
    if model == "equations":  # of the channels of this file
        renamed = json.dumps(settings).replace("angle", "position").replace("velocity", "speed")
        settings = json.loads(renamed)
    return settings | ({"drives": {"torque": "position"}} if model == "rigid_body" else {})


def make(settings: dict, channels: dict, *, members: int = 0, **learn):
    """Return a step with random weights, or an ensemble of such steps, and its description."""
    if settings["type"] in EQUATIONS:
        learn = {"outputs": ALPHA, **learn}
    inputs = {"type": "dynamics", "model": settings, "horizon": 5, **learn}
    raw = {"task": "robot", "dt": 0.02, "channels": channels, "learn": inputs}
    task = Task.model_validate(raw)
    layout = layout_of(task)
    torch.manual_seed(3)
    std, outputs = torch.linspace(0.7, 2.0, layout.features), len(layout.outputs)
    scale = {
        "state_std": torch.linspace(1.0, 2.0, len(layout.states)),
        "feature_mean": 0.2 * (std - 1.0),
        "feature_std": std,
        "output_mean": torch.zeros(outputs),
        "output_std": torch.linspace(0.05, 0.3, outputs),
    }
    step = make_step(task.learn.model, layout, scale)
    step = (ensemble_of(step, members, noisy=True) if members else step).eval()
    about = {
        "task": "robot",
        "dataset": "d" * 64,
        "units": {name: task.channels[name].unit for name in task.columns},
        "limits": {name: task.channels[name].limits for name in task.columns},
    }
    return step, about


@pytest.fixture(autouse=True)
def _quick_compiler(monkeypatch):
    """Compile rollouts without the optimizations, which take most of the compile time."""
    monkeypatch.setattr(c_compiler, "FLAGS", ("-std=gnu99", "-O0"))
    monkeypatch.setattr(c_compiler, "TARGETS", ((),))


class CStep:
    """step.c, compiled strictly."""

    def __init__(self, folder) -> None:
        self.source = generate((folder / "step.onnx").read_bytes())
        (folder / "step.c").write_text(self.source.code)
        (folder / "step.h").write_text(self.source.header)
        command = [compiler(), *STRICT, "step.c", "-o", "step.so", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
        self._at = getattr(ctypes.CDLL(str(folder / "step.so")), f"{self.source.name}_step")
        self._at.argtypes, self._at.restype = [ctypes.c_void_p] * 4, None

    def __call__(self, state, action, carry):
        inputs = [np.array([*part, 0.0], np.float32) for part in (state, action, carry)]
        after = np.empty_like(state)
        self._at(*(part.ctypes.data for part in (*inputs, after)))
        return after, inputs[2][:-1]


def close(result, expected, angles, allowed: float) -> None:
    """Compare rows (..., S) relative to their largest number; NaN equals only NaN."""
    np.testing.assert_array_equal(np.isfinite(result), np.isfinite(expected))
    result, expected = (
        np.where(np.isfinite(network), network, 0.0) for network in (result, expected)
    )
    scale = np.maximum(1.0, np.abs(expected).max(axis=-1, keepdims=True, initial=0.0))
    off = np.abs(wrapped(result - expected, angles)) / scale
    assert off.max(initial=0.0) <= allowed, off.max()


def agree(settings: dict, channels: dict, folder, **learn) -> None:
    """Export, compile and compare steps, rollouts, extreme inputs and rows with NaN."""
    step, about = make(settings, channels, **learn)
    simulator = load(published(step, folder, about), non_finite="pass")
    agree_step(simulator, CStep(folder))
    agree_rollout(simulator, compile_rollout((folder / "step.onnx").read_bytes()))


def agree_step(simulator: Simulator, result: CStep) -> None:
    random, memory = np.random.default_rng(0), simulator.initial_carry(1)
    states, actions, carried = sizes_of(simulator.interface)
    carry = np.zeros(carried, np.float32)
    angles = np.concatenate([simulator.interface.is_angle, np.zeros(carried, np.bool_)])
    for scale, allowed in [*[(1.0, 2e-5)] * 12, *[(30.0, 1e-3)] * 6]:
        state, action = (
            random.normal(0, scale, size).astype(np.float32) for size in (states, actions)
        )
        after, *memory = simulator.step(state[None], action[None], *memory)
        mine = np.concatenate(result(state, action, carry))
        expected = np.concatenate([after[0], *(part.reshape(-1) for part in memory)])
        close(mine, expected, angles, allowed)
        carry = expected[states:]
    state[0] = np.inf
    assert np.isnan(np.concatenate(result(state, action, carry))).all()


def agree_rollout(simulator: Simulator, result) -> None:
    random, interface = np.random.default_rng(1), simulator.interface
    history, states, actions = interface.history, len(interface.states), len(interface.actions)
    for batch, scale, allowed in ((1, 1.0, 1e-4), (19, 1.0, 1e-4), (5, 30.0, 2e-3)):
        shapes = [(batch, history, states), (batch, history - 1, actions), (batch, 6, actions)]
        inputs = [random.normal(0, scale, shape).astype(np.float32) for shape in shapes]
        clean = result(*inputs)
        close(clean, simulator.rollout(*inputs), interface.is_angle, allowed)
        for tensor in (input_ for input_ in inputs if input_.size and batch > 1):
            stored = tensor[1, -1, -1]
            tensor[1, -1, -1] = np.nan
            broken = result(*inputs)
            assert np.isnan(broken[1]).all()
            np.testing.assert_array_equal(np.delete(broken, 1, 0), np.delete(clean, 1, 0))
            tensor[1, -1, -1] = stored


def takes(model: str, kind: str) -> bool:
    """Skip quaternions for equations of motion, which need one coordinate per velocity."""
    return model not in EQUATIONS or kind != "quaternion"


def cross():
    """Yield every valid combination of architecture, kind, window and history."""
    for model, kind, window, history in itertools.product(MODELS, KINDS, WINDOWS, HISTORIES):
        if takes(model, kind):
            yield model, kind, window, history


def identity(case) -> str:
    return "-".join(map(str, case))


@pytest.mark.slow
@pytest.mark.parametrize("case", list(cross()), ids=identity)
def test_each_architecture_kind_window_and_history_runs_the_same_in_c(case, tmp_path):
    model, kind, window, history = case
    agree(settings_of(model), states_of(kind) | ACTION, tmp_path, window=window, history=history)


def test_each_encoding_runs_the_same_in_c(tmp_path):
    """One channel per encoding, so that one export covers all encodings."""
    channels = {f"s_{name}": {"role": "state", "unit": "m"} for name in ENCODINGS}
    selected = {f"s_{name}": {"type": name, **NEEDS.get(name, {})} for name in ENCODINGS}
    agree(
        {"type": "mlp", "hidden_sizes": [12]},
        channels | ACTION,
        tmp_path,
        history=3,
        encoding={"channels": selected},
    )


@pytest.mark.parametrize("integrator", get_args(Integrator))
def test_each_integrator_runs_the_same_in_c(integrator, tmp_path):
    agree(
        {"type": "mlp", "hidden_sizes": [12]},
        states_of("coordinate") | ACTION,
        tmp_path,
        history=2,
        integrator=integrator,
        outputs=ALPHA,
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gru", pytest.param("rigid_body", marks=pytest.mark.slow)])
def test_an_ensemble_steps_the_same_in_c(model, tmp_path):
    """The carry has the members, their offsets and their covariance."""
    channels = states_of("coordinate") | ACTION
    step, about = make(settings_of(model), channels, members=2, history=4)
    simulator = load(published(step, tmp_path, about), non_finite="pass")
    agree_step(simulator, CStep(tmp_path))


def test_a_model_without_actions_runs_the_same_in_c(tmp_path):
    agree({"type": "gru", "hidden_size": 6}, states_of("coordinate"), tmp_path, history=4)
