"""Simulated systems of one measured output: their task, windows, scales, and facts."""

import torch

from kinemill.task.document import Task
from kinemill.task.portfolio import TaskFacts
from kinemill.train.data import Windows
from kinemill.train.dynamics_settings import GaussNewton
from kinemill.train.gauss_newton import fit_rollouts
from kinemill.train.layout import layout_of
from kinemill.train.step import SCALES, make_step
from tests.conftest import learning_task


def task_of(state, action, dt=1.0, **learn) -> Task:
    """Return a task of a state and an action, (name, unit) each, that predicts the state."""
    (name, unit), (acting, acting_unit) = state, action
    channels = {name: {"role": "state", "unit": unit}}
    channels |= {acting: {"role": "action", "unit": acting_unit}}
    outputs = {name: {"relation": "equal", "of": name}}
    return learning_task("box", dt, channels, {"outputs": outputs, **learn})


def windows_of(rows, history, horizon, states=1) -> Windows:
    starts = torch.arange(0, len(rows) - history - horizon)
    return Windows(rows, starts, history, horizon, states)


def scale_of(*parts):
    return dict(zip(SCALES, (torch.as_tensor(part).double() for part in parts), strict=True))


def start(task, rows):
    """Return the step before its fit, with the scales of rows of a state and an action."""
    state = rows[:, :1]
    torch.manual_seed(0)
    scale = scale_of(state.std(0), rows.mean(0), rows.std(0), state.mean(0), state.std(0))
    return make_step(task.learn.model, layout_of(task), scale)


def fit(step, rows, **settings):
    """Fit a step to rollouts over windows of rows by Gauss-Newton."""
    fit_rollouts(step, rows, torch.arange(len(rows)), GaussNewton(**settings))
    return step


def facts(states=("level",), **changes) -> TaskFacts:
    """Return facts about a process with a pump."""
    values = {"angles": frozenset(), "relative": (), "pairs": {}, "drives": {}}
    values |= {"longest": 40, "horizon": 25, "rollout": 100} | changes
    return TaskFacts(states, ("pump",), **values)


# What shows a robot with joints, or too few data for long rollouts.
UNFIT = {
    "velocity": {"states": ("x", "v"), "pairs": {"v": "x"}},
    "angle": {"angles": frozenset({"level"})},
    "many states": {"states": tuple("abcdefgh")},
    "short history": {"longest": 2},
    "short episodes": {"rollout": 1},
}
