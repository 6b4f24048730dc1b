"""Wrappers by path: own code of the project, and classes of Gymnasium."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from kinemill.errors import BadInput, TaskError
from kinemill.policies.environments import make_environment
from kinemill.task import load_task
from kinemill.task.document import Task

WRAPPERS = '''
import gymnasium


class Shift(gymnasium.ObservationWrapper):
    """Adds a number to observations."""

    def __init__(self, env, by: float = 1.0):
        super().__init__(env)
        self.by = by

    def observation(self, observation):
        return observation + self.by


def plain(env):
    return env


def wrong(env):
    return 3
'''
TASK = """task: cart
dt: 0.02
environment: {type: gymnasium, id: CartPole-v1, wrappers: [WRAPPER]}
learn: {type: reinforcement}
"""


@pytest.fixture
def cart(tmp_path):
    """A task beside a file of wrappers; the function loads it with one of them."""
    (tmp_path / "my_wrappers.py").write_text(WRAPPERS)

    def load(wrapper: str, **how) -> Task:
        path = tmp_path / "cart.yaml"
        path.write_text(TASK.replace("WRAPPER", wrapper))
        return load_task(path, **how)

    return load


def test_an_environment_that_cannot_be_wrapped_is_closed(cart, monkeypatch):
    closed = []
    monkeypatch.setattr(CartPoleEnv, "close", lambda _: closed.append(True))
    with pytest.raises(BadInput):
        make_environment(cart("{type: 'my_wrappers.py:wrong'}"))
    assert len(closed) == 1
    make_environment(cart("{type: 'my_wrappers.py:plain'}"))
    assert len(closed) == 1


def test_a_class_of_the_project_goes_around_the_environment(cart):
    start = gymnasium.make("CartPole-v1").reset(seed=3)[0]
    task = cart("{type: 'my_wrappers.py:Shift', by: 2.5}")
    assert make_environment(task).reset(seed=3)[0] == pytest.approx(start + 2.5)
    # Other processes get the recorded task, which holds the text of the file.
    restored = Task.model_validate(task.model_dump(mode="json", by_alias=True))
    assert make_environment(restored).reset(seed=3)[0] == pytest.approx(start + 2.5)
    short = cart("'my_wrappers.py:plain'")
    assert make_environment(short).reset(seed=3)[0] == pytest.approx(start)


def test_what_is_no_wrapper_is_refused(cart):
    with pytest.raises(BadInput, match=r"my_wrappers.py:wrong: is a int"):
        make_environment(cart("'my_wrappers.py:wrong'"))
    with pytest.raises(TaskError, match="no class or function 'Shif'"):
        cart("'my_wrappers.py:Shif'")
    with pytest.raises(TaskError, match="has no setting 'to'"):
        cart("{type: 'my_wrappers.py:Shift', to: 1}")


def test_the_web_names_no_code(cart):
    code = {"environment.wrappers": [{"type": "my_wrappers.py:Shift"}]}
    with pytest.raises(TaskError, match=r"environment\.wrappers"):
        cart("normalize_observation", overrides=code, web=True)
    classes = {"environment.wrappers": [{"type": "gymnasium", "name": "os:system"}]}
    with pytest.raises(TaskError, match=r"environment\.wrappers"):
        cart("normalize_observation", overrides=classes, web=True)


def test_a_class_of_gymnasium_is_named(cart):
    clip = "{type: gymnasium, name: TransformReward, arguments: {}}"
    with pytest.raises(BadInput, match=r"gymnasium: TransformReward: cannot be made"):
        make_environment(cart(clip))
    with pytest.raises(BadInput, match="did you mean 'ClipReward'"):
        make_environment(cart("{type: gymnasium, name: ClipRewards}"))
    settings = "{type: gymnasium, name: ClipReward, arguments: {max_reward: 0.25}}"
    environment = make_environment(cart(settings))
    environment.reset(seed=0)
    assert float(environment.step(0)[1]) == 0.25
    assert np.isfinite(environment.observation_space.sample()).all()
