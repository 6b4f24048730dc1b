"""Equations of a task file: two tanks in cascade, of which the lower one is measured."""

import numpy as np
import pytest
import torch

from kinemill.errors import BadInput, TaskError
from kinemill.task import load_task
from kinemill.task.document import Task
from kinemill.train.objectives._dynamics_setup import error_of
from tests.models import systems
from tests.models.systems import fit, start

HISTORY, HORIZON = 4, 60
TRUE = {"fill": 0.3, "drain": 0.25, "brim": 4.0}
TASK_START = {"fill": 0.2, "drain": 0.2, "brim": 5.0}
DRAFT = """
task: tanks
dt: 0.5
channels:
  level: {role: state, unit: V}
  pump: {role: action, unit: V}
learn:
  type: dynamics
  outputs: {level: {relation: equal, of: level}}
  model:
    type: equations
    parameters: {fill: 0.2, drain: 0.2, brim: 5.0}
    hidden: {upper: 2.0}
    terms:
      outflow: drain * sqrt(max(upper, 0.01))
    equations:
      upper: min(upper + dt * (fill * pump - outflow), brim)
      level: level + dt * (outflow - drain * sqrt(max(level, 0.01)))
  history: 4
  horizon: 60
"""


def with_curve(name, of="outflow", high=2):
    return f"    curves: {{{name}: {{of: {of}, range: [0, {high}]}}}}\n    terms:\n"


def task_of(tmp_path, text=DRAFT) -> Task:
    (tmp_path / "tanks.yaml").write_text(text)
    return load_task(tmp_path / "tanks.yaml")


def tanks(seed, bend=0.0):
    """Return rows of level and pump; the unmeasured upper tank overflows at times.

    `bend` is how far the pump is from linear.
    """
    random = np.random.default_rng(seed)
    upper, level, rows = 2.0, 1.0, []
    for pump in np.repeat(random.uniform(0.0, 4.0, size=60), 12):
        rows.append((level, pump))
        outflow = TRUE["drain"] * np.sqrt(max(upper, 0.01))
        level += 0.5 * (outflow - TRUE["drain"] * np.sqrt(max(level, 0.01)))
        inflow = TRUE["fill"] * (pump + bend * np.sin(2 * pump))
        upper = min(upper + 0.5 * (inflow - outflow), TRUE["brim"])
    return torch.tensor(np.array(rows), dtype=torch.float32)


def windows_of(rows):
    return systems.windows_of(rows, HISTORY, HORIZON)


@pytest.mark.ci
def test_it_finds_the_parameters_and_the_level_that_nobody_measures(tmp_path):
    rows = tanks(0)
    windows, step = windows_of(rows), start(task_of(tmp_path), rows)
    error_before = error_of(step, windows)
    fit(step, windows, windows=100, iterations=40)
    assert step.network.parameters_by_name() == pytest.approx(TRUE, rel=0.05)
    assert error_of(step, windows) < 1e-2 * error_before
    assert error_of(step, windows_of(tanks(1))) < 1e-2 * error_before
    error = error_of(step, windows)
    with torch.no_grad():
        step.network.gains.zero_()  # the first row alone does not show the level
    assert error_of(step, windows) > 3.0 * error


@pytest.mark.slow
def test_an_unknown_curve_is_fitted_with_the_parameters(tmp_path):
    curves = "    curves: {bend: {of: pump, range: [0, 4], points: 9}}\n    terms:\n"
    text = DRAFT.replace("    terms:\n", curves).replace("fill * pump", "fill * (pump + bend)")
    rows = tanks(0, bend=0.5)
    without, curved = (start(task_of(tmp_path, one), rows) for one in (DRAFT, text))
    for step in (without, curved):
        fit(step, windows_of(rows), windows=60, iterations=20, ridge=1e-7)
    unseen = windows_of(tanks(1, bend=0.5))
    assert error_of(curved, unseen) < 0.1 * error_of(without, unseen)
    fitted = curved.network.parameters_by_name()
    inflow = [fitted["fill"] * (x + fitted[f"bend({x:g})"]) for x in (0.5, 1.5, 2.5, 3.5)]
    true = [TRUE["fill"] * (x + 0.5 * np.sin(2 * x)) for x in (0.5, 1.5, 2.5, 3.5)]
    assert inflow == pytest.approx(true, rel=0.05)  # the curve can take over a part of the gain


def test_an_angle_that_passes_pi_is_no_large_prediction_error(tmp_path):
    text = DRAFT.replace(
        "level: {role: state, unit: V}", "level: {role: state, kind: angle, unit: rad}"
    )
    network = start(task_of(tmp_path, text), tanks(0)).network
    torch.nn.init.ones_(network.gains)
    state, predicted = torch.tensor([[3.1], [-3.1]]), torch.tensor([[-3.1], [-3.1]])
    count, features = torch.ones(2, 1), torch.zeros(2, network.encoder.in_features)
    error = 2 * np.pi - 6.2
    moved = network.present(state, features, count, torch.zeros(2, 1), predicted)
    expected = -2.0 * error / float(network.error_std)  # 2.0 is the usual value
    assert moved.flatten().tolist() == pytest.approx([expected, 0.0], rel=1e-4)


def test_random_starts_differ(tmp_path):
    rows, task = (
        tanks(0),
        task_of(tmp_path, DRAFT.replace("    hidden:", "    start_std: 0.3\n    hidden:")),
    )
    network = start(task, rows).network
    first, second = (network.parameters_by_name(), TASK_START)
    assert all(0.0 < abs(first[name] / second[name] - 1.0) < 1.5 for name in second)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("upper + dt", "top + dt"), "'top' is unknown"),
        (("{upper: 2.0}", "{level: 2.0}"), "level"),
        (("parameters: {fill: 0.2", "parameters: {pump: 1.0, fill: 0.2"), "pump.* is a channel"),
        (("{upper: 2.0}", "{upper: 2.0, third: 1.0}"), "the hidden state 'third' has none"),
        (("drain: 0.2, brim", "dt: 0.2, brim"), "'dt' is used twice, or no name"),
        (("min(upper", "least(upper"), "'least' in .* is not a function"),
        (("min(upper + dt * (fill * pump - outflow), brim)", "min(upper)"), "min takes two values"),
        (("outflow: drain", "late: outflow\n      outflow: drain"), "'outflow' is unknown"),
        (("    terms:", with_curve("late") + "      x: late"), "'late' is unknown"),
        (("    terms:", with_curve("new", of="in")), "'in' is unknown"),
        (("    terms:", with_curve("pump")), "pump.* is a channel"),
        (("    terms:", with_curve("new", high=0)), "0 is not below 0"),
        (("outputs: {level:", "outputs: {next:"), r"formulas of \['level'\].*\['next'\]"),
    ],
)  # fmt: skip
def test_formulas_that_mean_nothing_are_named(tmp_path, changed, message):
    with pytest.raises(TaskError, match=message):
        task_of(tmp_path, DRAFT.replace(*changed))


def test_hidden_states_and_rk4_are_refused(tmp_path):
    text = DRAFT.replace("relation: equal", "relation: derivative")
    task = task_of(tmp_path, text.replace("  history: 4", "  integrator: rk4\n  history: 4"))
    with pytest.raises(BadInput, match="hidden states advance once a step"):
        start(task, tanks(0))
