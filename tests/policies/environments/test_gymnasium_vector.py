"""Vector environments that Gymnasium environments register: rows do what one environment does."""

import logging
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from kinemill.policies.environments.vector_env import EPISODE
from kinemill.task.document import Task


class Counter(gymnasium.Env):
    """Observes its seed's draw and its steps; ends by itself after `last` steps."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    last = 4

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.start, self.steps = self.np_random.random(), 0
        return self._observation(), {}

    def step(self, action):
        self.steps += 1
        return self._observation(), float(action), self.steps >= self.last, False, {}

    def _observation(self):
        return np.array([self.start, self.steps], np.float32)


def opaque(num_envs, mode, max_episode_steps):
    """Return a vector environment whose state is in objects."""
    make = partial(gymnasium.wrappers.TimeLimit, max_episode_steps=max_episode_steps)
    return SyncVectorEnv([lambda: make(Counter())] * num_envs, autoreset_mode=mode)


@pytest.fixture
def registered(monkeypatch):
    def register(mode):
        spec = EnvSpec(
            "Counter-v0",
            entry_point=Counter,
            vector_entry_point=partial(opaque, mode=mode),
            max_episode_steps=9,
        )
        monkeypatch.setitem(gymnasium.registry, "Counter-v0", spec)

    return register


def rows_of(count, **environment):
    environment = {"type": "gymnasium", "id": "CartPole-v1", **environment}
    task = Task.model_validate(
        {"task": "rows", "dt": 0.02, "environment": environment, "learn": {"type": "reinforcement"}}
    )
    factory = task.environment.vectorized(task)
    return None if factory is None else factory(count)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
@pytest.mark.parametrize(("steps", "length"), [(None, 4), (3, 3)])
def test_a_row_shows_the_last_observation_and_begins_anew_in_one_step(
    registered, mode, steps, length
):
    registered(mode)
    rows = rows_of(3, id="Counter-v0", steps=steps)
    first, _ = rows.reset([7, 8, 9])
    for step in range(1, 2 * length + 1):
        observed, rewards, dones, infos, _ = rows.step(np.array([0, 1, 1]))
        assert rewards.tolist() == [0.0, 1.0, 1.0]
        assert dones.tolist() == [step % length == 0] * 3
        assert observed[:, 1].tolist() == [step % length] * 3
        if step % length:
            continue
        for row, info in enumerate(infos):
            last = first[row, 0], length
            assert info["terminal_observation"].tolist() == pytest.approx(last)
            assert info["TimeLimit.truncated"] == (steps == length)
            assert info[EPISODE]["return"] == rewards[row] * length
            assert info[EPISODE]["length"] == length
        assert not np.isin(observed[:, 0], first[:, 0]).any()
        first = observed
    rows.close()


def test_state_in_objects_that_is_reset_a_step_later_has_no_rows(registered, caplog):
    registered(AutoresetMode.NEXT_STEP)
    caplog.set_level(logging.INFO)
    assert rows_of(3, id="Counter-v0") is None
    assert "Counter-v0: its vectorized form is not used: its state is not in arrays" in caplog.text


@pytest.mark.parametrize(
    "environment",
    [{"id": "Acrobot-v1"}, {"arguments": {"no_such": 1}}, {"randomize": {"no": [0, 1]}}],
)
def test_without_a_vectorized_form_there_are_no_rows(environment):
    assert rows_of(2, **environment) is None


@pytest.fixture
def opened(monkeypatch):
    """Vector environments in the order in which they were made; `is_closed` is set by `close`."""
    made, make_vec = [], gymnasium.make_vec

    def recorded(*args, **named):
        made.append(one := make_vec(*args, **named))
        one.is_closed = False
        one.close = partial(setattr, one, "is_closed", True)
        return one

    monkeypatch.setattr(gymnasium, "make_vec", recorded)
    return made


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_vector_environments_of_the_trial_are_closed(registered, opened, mode):
    registered(mode)
    rows = rows_of(3, id="Counter-v0")
    assert [one.is_closed for one in opened[:-1]] == [True] * (len(opened) - 1)
    if rows is not None:
        assert not opened[-1].is_closed
        rows.close()
    assert opened[-1].is_closed


def test_vector_environments_of_a_trial_that_fails_are_closed(registered, opened, monkeypatch):
    registered(AutoresetMode.NEXT_STEP)
    monkeypatch.setattr(Counter, "step", None)  # TypeError: not callable
    assert rows_of(3, id="Counter-v0") is None
    assert len(opened) > 1
    assert all(one.is_closed for one in opened)


def test_rows_close_the_stock_of_starts(opened):
    rows = rows_of(3, randomize={"gravity": [2.0, 20.0]})
    rows.reset([1, 2, 3])
    rows.close()
    assert [one.unwrapped.num_envs for one in opened].count(16) == 2  # of the trial and of the rows
    assert all(one.is_closed for one in opened)


def test_each_row_has_a_seed_and_a_time_limit():
    """Equal seeds, equal starts in any row; all episodes of one length are cut in the same step."""
    rows, steps = rows_of(3, steps=2), list[np.ndarray]()
    first, _ = rows.reset([5, 6, 5])
    assert np.array_equal(first[0], first[2])
    assert not np.array_equal(first[0], first[1])
    assert np.abs(first).max() <= 0.05
    for _ in range(40):  # more than one stock of starts
        steps.append(rows.step(np.array([0, 1, 0]))[0])
    again, _ = rows.reset([6, 5, 5])
    assert np.array_equal(again, first[[1, 0, 2]])
    for previous_step in steps:
        assert np.array_equal(rows.step(np.array([1, 0, 0]))[0], previous_step[[1, 0, 2]])


def test_rows_draw_parameters_for_each_episode():
    """The period of the fall of each row is that of a single cart-pole with its parameters."""
    rows = rows_of(4, randomize={"gravity": [2.0, 20.0], "force_mag": [5.0, 15.0]}, steps=7)
    state, _ = rows.reset(range(4))
    inner, gravities = rows._vector.unwrapped, list[float]()
    for _ in range(3):
        copies = [gymnasium.make("CartPole-v1").unwrapped for _ in range(4)]
        for row, one in enumerate(copies):
            one.reset()
            one.state, one.gravity, one.force_mag = (
                state[row].astype(float),
                inner.gravity[row],
                inner.force_mag[row],
            )
        gravities += inner.gravity.tolist()
        for step in range(7):
            actions = np.array([step % 2, 1, 0, 1])
            state, _, _, infos, _ = rows.step(actions)
            for row, one in enumerate(copies):
                expected = one.step(actions[row])[0]
                ours = infos[row].get("terminal_observation", state[row])
                assert ours == pytest.approx(expected, abs=1e-5)
    assert len({*gravities}) == 12
    assert 2.0 <= min(gravities) < max(gravities) <= 20.0
