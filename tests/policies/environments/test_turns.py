"""Environments whose agents act in turns, as one environment of one policy."""

import gymnasium
import numpy as np
import pytest

import kinemill.api as km
from kinemill.errors import BadInput
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments.evaluation import RandomPolicy, run_episode
from kinemill.policies.environments.turns import AGENT_REWARDS
from tests.policies.environments.games import STEPS

HERE = "tests.policies.environments.games"


def game(name, **settings):
    environment = {"type": "python", "path": f"{HERE}:{name}", **settings}
    return km.make_task(task="game", dt=1, environment=environment, learn={"type": "reinforcement"})


def test_sub_steps_are_blocks_of_one_observation_and_one_action():
    task = game("Reach")
    environment = make_environment(task)
    layout = layout_of(task, environment)
    assert layout.observation == (
        *("turn_side", "turn_push"),
        *("side_observation_0", "side_observation_1"),
        *("push_side_0", "push_side_1", "push_target_0"),
    )
    assert layout.actions == ("side_action", "push_0_0", "push_1")
    assert (layout.choices, layout.mask) == ((2, 0, 3), 5)
    observed, _ = environment.reset(seed=0)
    target = environment.unwrapped._target
    assert observed["observation"].tolist() == [1, 0, *target.tolist(), 0, 0, 0]
    assert observed["action_mask"].tolist() == [1, 1, 1, 0, 0]  # idle choices are choice 0
    observed, reward, *_ = environment.step(np.array([1.0, 0.5, 0.0]))
    assert observed["observation"].tolist() == [0, 1, 0, 0, 0, 1, target[1]]
    assert (observed["action_mask"].tolist(), reward) == ([1, 0, 1, 1, 1], 0.0)
    _, reward, *_ = environment.step(np.array([0.0, 0.25, 2.0]))
    assert reward == pytest.approx(-abs(0.25 - target[1]) - 0.1, abs=1e-6)


@pytest.mark.parametrize("policies", ["separate", "shared"])
def test_the_reward_of_each_player_counts_and_dead_turns_are_left_out(policies):
    task = game("Countdown", policies=policies, score="second")
    environment = make_environment(task)
    assert layout_of(task, environment).choices == ((3,) if policies == "shared" else (3, 3))
    environment.reset(seed=0)
    for turn in range(4):  # both take three sticks twice
        action = 2 if policies == "shared" else [2, 0] if turn % 2 == 0 else [0, 2]
        observed, reward, ended, cut, info = environment.step(np.asarray(action))
        assert reward == (1.0 if turn == 3 else 0.0)
        assert (ended, cut) == (turn == 3, False)
    assert info[AGENT_REWARDS].tolist() == [-1.0, 1.0]
    assert (info["reward_first"], info["reward_second"]) == (-1.0, 1.0)
    assert observed["action_mask"].any()


def test_agents_of_the_parallel_interface_decide_one_after_the_other():
    task = game("Meeting", policies={"walker_0": "a", "walker_1": "b", "walker_2": "a"})
    environment = make_environment(task)
    layout = layout_of(task, environment)
    assert layout.actions == ("a_action_0", "b_action_0")
    assert [agent.columns for agent in layout.agents] == [(3, 5), (5, 7), (3, 5)]
    episode = run_episode(task, environment, RandomPolicy(environment.action_space), seed=3)
    turns = episode.observations["observation"][:-1, :3].argmax(axis=1)
    assert turns.tolist() == [0, 1, 2] * STEPS
    assert not episode.terminated
    assert episode.rewards[0] == episode.rewards[1] == 0.0 > episode.rewards[2]
    total = sum(np.nansum(episode.step_events[f"reward_walker_{k}"]) for k in range(3))
    assert total == pytest.approx(episode.episode_return)


def test_agents_that_act_at_random_take_no_turn_of_the_policy():
    task = game("Countdown", policies="shared", score="first", random_agents=["second"])
    environment = make_environment(task)
    policy = RandomPolicy(environment.action_space)
    first, repeated = (run_episode(task, environment, policy, seed=5) for _ in range(2))
    assert (first.observations["observation"][:-1, 0] == 1.0).all()
    assert np.array_equal(first.actions, repeated.actions)
    assert first.episode_return == repeated.episode_return in (-1.0, 1.0)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("Reach", {"policies": "shared"}, "side and push have other spaces"),
        ("Countdown", {"policies": {"first": "a"}}, "lacks second"),
        ("Countdown", {"score": "first_"}, "did you mean 'first'"),
        ("Countdown", {"random_agents": ["first", "second"]}, "names all agents"),
        ("Reach", {"wrappers": ["normalize_observation"]}, "does not work where agents act"),
    ],
)
def test_settings_that_do_not_fit_the_agents_are_refused(name, settings, message):
    with pytest.raises(BadInput, match=message):
        make_environment(game(name, **settings))


def test_an_environment_of_a_single_agent_takes_no_settings_of_agents():
    environment = {"type": "gymnasium", "id": "CartPole-v1", "policies": "shared"}
    task = km.make_task(task="game", dt=1, environment=environment, learn={"type": "reinforcement"})
    with pytest.raises(BadInput, match="has a single agent"):
        make_environment(task)


def test_an_image_of_an_agent_is_refused():
    class ImageAgent(gymnasium.Env):
        observation_spaces = {"eye": gymnasium.spaces.Box(0, 255, (9, 9, 3), np.uint8)}
        action_spaces = {"eye": gymnasium.spaces.Discrete(2)}
        agent_selection = "eye"

    from kinemill.policies.environments.turns import TurnEnv

    with pytest.raises(BadInput, match="numbers, choices and action_mask"):
        TurnEnv(ImageAgent())
