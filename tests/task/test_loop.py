"""The `loop` part of a task file: what it needs, and limits of states."""

import re

import pytest

from kinemill.errors import TaskError
from kinemill.task import load_task

NAME = "cart_pole_swing_up_loop"


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("cart_pole", {"loop.rounds": 2}, "loop: needs a `control` part"),
        ("pendulum_swing_up", {"loop.rounds": 2}, "and `learn.type: dynamics`"),
        (NAME, {"loop.limits": {"cart": [-1, 1]}}, "no state 'cart'; known: cart_position"),
        (NAME, {"loop.limits": {"cart_position": [1, -1]}}, "1 is not below -1"),
        (NAME, {"loop.color": 5}, "less than or equal to 4"),
        (NAME, {"loop.target": 1.5}, "less than or equal to 1"),
        (NAME, {"loop.rounds": 0}, "greater than 0"),
    ],
)
def test_a_loop_that_cannot_run_is_an_error_of_the_task(name, changed, message):
    with pytest.raises(TaskError, match=re.escape(message)):
        load_task(name, changed)


def test_limits_may_be_formulas_of_pi():
    loop = load_task(NAME, {"loop.limits": {"pole_velocity": ["-4 * pi", "4 * pi"]}}).loop
    assert loop.limits["pole_velocity"] == pytest.approx((-12.566370614, 12.566370614))
