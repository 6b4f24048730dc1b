"""Numbers of an environment are the channels of the task, of which a policy observes some."""

import pytest

from kinemill.errors import BadInput
from kinemill.policies.environments.factory import make_environment
from kinemill.policies.environments.layout import layout_of
from kinemill.task.document import Task
from kinemill_dagster.resources.machine_check import check_machine
from tests.conftest import learning_task

SENSORS = ("cosine", "sine")


def sensors(env_id="Pendulum-v1", states=(*SENSORS, "rate"), observations=SENSORS) -> Task:
    """Return a task of a policy on some of the numbers of an environment."""
    channels = {name: {"role": "state", "unit": "1"} for name in states}
    channels["torque"] = {"role": "action", "unit": "N*m"}
    learn = {"type": "imitation", "observations": [*observations]}
    world = {"type": "gymnasium", "id": env_id}
    return learning_task("sensors", 0.05, channels, learn, environment=world)


def observed(task: Task) -> tuple[str, ...]:
    return layout_of(task, make_environment(task)).observation


def test_channels_name_all_numbers_whatever_the_policy_observes():
    assert observed(sensors(observations=("sine", "cosine"))) == (*SENSORS, "rate")


def test_observed_channels_name_the_numbers_if_logs_have_others():
    numbers = (*SENSORS, "rate")
    assert observed(sensors(states=("load", *numbers), observations=numbers)) == numbers


def test_a_policy_on_some_of_the_numbers_may_run():
    check_machine(sensors())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"env_id": "CartPole-v1", "states": (*SENSORS, "place", "speed")},
            "takes torque of 2 choices; expected the policy's: torque, numbers",
        ),
        ({"env_id": "Acrobot-v1"}, "the environment has 6 observation numbers, these are 2"),
        ({"observations": ("torque", "sine")}, "does not have torque, which the policy observes"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_before_any_stage(changes, message):
    with pytest.raises(BadInput, match=message):
        check_machine(sensors(**changes))
