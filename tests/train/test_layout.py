import numpy as np
import pytest

from kinemill.errors import TaskError
from kinemill.task.document import Task
from kinemill.train.layout import make_layout
from kinemill.train.relations import Output
from tests.conftest import load_task_in

CHAIN = {
    "task": "cart",
    "dt": 0.0025,
    "channels": {
        "position": {"role": "state", "unit": "m"},
        "velocity": {"role": "state", "unit": "m/s", "derivative_of": "position"},
        "temperature": {"role": "state", "unit": "kelvin"},
        "force": {"role": "action", "unit": "N"},
    },
    "learn": {"type": "dynamics", "model": {"type": "mlp"}},
}
OUTPUTS = {
    "acceleration": Output(relation="derivative", of="velocity"),
    "temperature": Output(relation="equal", of="temperature"),
}


def advance(layout, state, outputs):
    state, outputs = np.asarray(state), np.asarray(outputs)
    return state + state @ layout.drift + outputs @ layout.gain


def test_without_outputs_each_state_has_its_delta():
    layout = make_layout(Task.model_validate(CHAIN), {}, "semi_implicit", 1)
    expected = ["position_delta", "velocity_delta", "temperature_delta"]
    assert [name for name, _ in layout.outputs] == expected
    assert advance(layout, [1.0, 2.0, 3.0], [0.1, 0.2, 0.3]) == pytest.approx([1.1, 2.2, 3.3])


TASK = """\
task: cart
dt: 0.01
channels:
  position: {role: state, unit: m}
  velocity: {role: state, unit: m/s, derivative_of: position}
  force:    {role: action, unit: N}
learn:
  type: dynamics
  model: {type: mlp}
  outputs:
    acceleration: {relation: derivative, of: velocity}
"""


def test_two_rates_of_one_state_are_asked_about_instead_of_added_up(tmp_path):
    second = "  measured: {role: state, unit: m/s, derivative_of: position}\n  force:"
    text = TASK.replace("  force:", second) + "    rate: {relation: delta, of: measured}\n"
    message = "'velocity' and 'measured' are both the derivative of 'position'"
    with pytest.raises(TaskError, match=message):
        load_task_in(tmp_path, text)
    load_task_in(tmp_path, text + "    position: {relation: delta, of: position}\n")


def test_a_state_may_be_the_rate_of_an_action():
    channels = {
        "torque": {"role": "action", "unit": "N"},
        "torque_rate": {"role": "state", "unit": "N/s", "derivative_of": "torque"},
        "velocity": {"role": "state", "unit": "m/s", "derivative_of": "position"},
        "position": {"role": "state", "unit": "m"},
    }
    task = Task.model_validate(CHAIN | {"dt": 0.1, "channels": channels})
    outputs = {
        "rate": Output(relation="equal", of="torque_rate"),
        "acceleration": Output(relation="derivative", of="velocity"),
    }
    layout = make_layout(task, outputs, "semi_implicit", 1)
    assert advance(layout, [7.0, 3.0, 4.0], [8.0, 10.0]) == pytest.approx([8.0, 4.0, 4.4])
