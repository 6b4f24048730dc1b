"""Rate of model-predictive path integral control (MPPI): 256 plans of 25 steps.

Measures one action from a measured state in total (sampling, rollouts, costs), and its rollouts
alone. The learned model has the size of the shipped task and random weights: compiled to C on one
thread, and in ONNX Runtime. The true model is the plant in `mujoco.rollout` on two threads: one RK4
step per time step, as the plant is simulated, and one Euler step, the cheapest integrator.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks import Row, interleaved, main, row
from kinemill.control import LearnedModel, TruePhysics, make_planner
from kinemill.control.sim.cart_pole_swing_up import CartPoleSwingUp
from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.runtime import load
from kinemill.task import load_task
from kinemill.train.devices import single_thread
from kinemill.train.layout import layout_of
from kinemill.train.step import make_step

SAMPLES, HORIZON, ROUNDS, CALLS = 256, 25, 21, 4
SETTINGS = {"samples": SAMPLES, "horizon": HORIZON, "knots": HORIZON}
WORK = f"MPPI {SAMPLES} samples x {HORIZON} steps, cart-pole"


class Euler(CartPoleSwingUp):
    """The plant with the cheapest integrator."""

    def mjcf(self) -> str:
        """Return the model with another integrator."""
        return super().mjcf().replace('integrator="RK4"', 'integrator="Euler"')


def measure() -> list[Row]:
    """Return actions and rollouts per second."""
    keys = {f"control.controller.{key}": value for key, value in SETTINGS.items()}
    task = load_task("cart_pole_swing_up", keys)
    models = {
        "ours": LearnedModel(_simulator(task, "c")),
        "ONNX Runtime": LearnedModel(_simulator(task, "onnx")),
        "mujoco.rollout, RK4, 2 threads": TruePhysics(task, threads=2),
        "mujoco.rollout, Euler, 2 threads": TruePhysics(task, threads=2, plant=Euler()),
    }
    state, past = np.array([[0.1, 0.2, 0.0, 0.0]]), np.zeros((0, 1))
    actions = np.random.default_rng(0).uniform(-10, 10, (SAMPLES, HORIZON, 1))
    planners = {name: make_planner(task, [model]) for name, model in models.items()}
    act_calls = {name: _called(planner.act, state, past) for name, planner in planners.items()}
    rollout_calls = {
        name: _called(model.rollout, state, past, actions) for name, model in models.items()
    }
    with single_thread():
        return [_row(WORK, "Hz", act_calls), _row(f"rollouts only, {WORK}", "Hz", rollout_calls)]


def _called(function, *arguments):
    def call():
        for _ in range(CALLS):
            function(*arguments)

    return call


def _row(work, unit, cases) -> Row:
    seconds = interleaved(cases, rounds=ROUNDS)
    rates = {name: CALLS / value for name, value in seconds.items()}
    return row(work, unit, rates.pop("ours"), rates)


def _simulator(task, engine):
    """Return the shipped task's model with random weights, exported."""
    layout = layout_of(task)
    torch.manual_seed(0)
    states, outputs = len(layout.states), len(layout.outputs)
    scale = {
        "state_std": torch.ones(states),
        "feature_mean": torch.zeros(layout.features),
        "feature_std": torch.ones(layout.features),
        "output_mean": torch.zeros(outputs),
        "output_std": torch.full((outputs,), 0.05),
    }
    step = make_step(task.learn.model, layout, scale).eval()
    description = {
        "task": task.name,
        "dataset": "0" * 64,
        "units": {name: task.channels[name].unit for name in task.columns},
        "limits": {name: task.channels[name].limits for name in task.columns},
    }
    with tempfile.TemporaryDirectory() as folder:
        write_model(step, describe(description, step), Path(folder))
        return load(folder, non_finite="pass", engine=engine)


if __name__ == "__main__":
    main("mpc", measure)
