"""Rate of model-predictive path integral control (MPPI): 256 plans of 25 steps.

Measures one action from a measured state in total (sampling, rollouts, costs), and its rollouts
alone. The learned model has the size of the shipped task and random weights: compiled to C on one
thread, and in ONNX Runtime. The true model is the plant in `mujoco.rollout` on two threads: one RK4
step per time step, as the plant is simulated, and one Euler step, the cheapest integrator.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import Row, main, paired, repeat
from benchmarks._exports import untrained, write_files
from kinemill.control import LearnedModel, TruePhysics, make_planner
from kinemill.control.sim.cart_pole_swing_up import CartPoleSwingUp
from kinemill.runtime import load
from kinemill.task import load_task
from kinemill.train.devices import single_thread

SAMPLES = 256
HORIZON = 25
ROUNDS = 21
CALLS = 4  # in a round
SETTINGS = {"samples": SAMPLES, "horizon": HORIZON, "knots": HORIZON}
WORK = f"MPPI {SAMPLES} samples x {HORIZON} steps, cart-pole"


class Euler(CartPoleSwingUp):
    """The plant with the cheapest integrator."""

    def mjcf(self) -> str:
        """Return the model with another integrator."""
        return super().mjcf().replace('integrator="RK4"', 'integrator="Euler"')


def measure(rounds: int = ROUNDS) -> list[Row]:
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
    acts = {name: partial(planner.act, state, past) for name, planner in planners.items()}
    rollouts = {
        name: partial(model.rollout, state, past, actions) for name, model in models.items()
    }
    with single_thread():
        return [_row(WORK, acts, rounds), _row(f"rollouts only, {WORK}", rollouts, rounds)]


def _row(work, calls, rounds) -> Row:
    cases = {name: repeat(call, CALLS) for name, call in calls.items()}
    return paired(work, "Hz", CALLS, cases, rounds, time.perf_counter)


def _simulator(task, engine):
    """Return the shipped task's model with random weights, exported."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(task, untrained(task, output_std=0.05), Path(folder))
        return load(folder, non_finite="pass", engine=engine)


if __name__ == "__main__":
    main("mpc", measure)
