"""The example of a robot behind a socket: an episode, the watchdog, and a robot that is silent."""

import socket
import threading
import time

import numpy as np
import pytest

from kinemill.control import EpisodeFailed, Robot, plain_policy, run_episode
from kinemill.task import load_task
from tests.examples.conftest import load_example

TASK = load_task("cart_pole_swing_up_loop", {"control.seconds": 0.6, "control.hold": 0.2})


@pytest.fixture(scope="module")
def example():
    return load_example("socket_plant")


@pytest.fixture
def robot(example):
    """The robot's side on a free port: itself and its address."""
    side = example.RobotSide(Robot(TASK), TASK.dt, patience=0.2)
    server = example.serve(side, ("127.0.0.1", 0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield side, server.server_address
    server.shutdown()
    server.server_close()


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_episode_over_the_socket_is_one_of_the_plant(example, robot):
    side, address = robot
    plant = example.SocketPlant(address, Robot(TASK).limits)
    episode = run_episode(TASK, plain_policy(TASK, "random"), 3, robot=plant)
    assert episode.states.shape == (31, 4)
    # The clock never waits for the computer: what it applied is what moved the plant.
    local, states = Robot(TASK), [episode.states[0]]
    local.reset(states[0])
    states += [local.step(action) for action in list(side.applied)]
    errors = [min(np.abs(np.array(states) - state).max(axis=1)) for state in episode.states]
    assert max(errors) < 1e-9
    assert {float(value) for value in episode.actions[:-1, 0]} <= {
        float(a[0]) for a in side.applied
    }


def test_the_motors_rest_when_no_message_comes(example, robot):
    side, address = robot
    plant = example.SocketPlant(address, Robot(TASK).limits)
    plant.reset(np.zeros(4))
    plant.act(np.array([5.0]))
    until(lambda: any(action[0] == 5.0 for action in list(side.applied)))
    until(lambda: side.applied[-1][0] == 0.0)
    for _ in range(10):  # 0.5 s, more than the patience
        plant.act(np.array([5.0]))
        time.sleep(0.05)
        plant.heartbeat()
    assert side.applied[-1][0] == 5.0
    plant.close()
    until(lambda: side.applied[-1][0] == 0.0)


def test_a_silent_robot_fails_the_episode_and_a_reset_connects_again(example, robot):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
        plant = example.SocketPlant(address, Robot(TASK).limits, timeout=0.2)
        began = time.monotonic()
        with pytest.raises(EpisodeFailed, match=r"does not answer: .*an answer within 0\.2 s"):
            plant.reset(np.zeros(4))
        assert time.monotonic() - began < 5.0
    with pytest.raises(EpisodeFailed, match="does not answer"):  # nobody listens there
        plant.reset(np.zeros(4))
    plant.address = robot[1]
    np.testing.assert_array_equal(plant.reset(np.full(4, 0.1)), np.full(4, 0.1))
