"""Agents that act in turns, from training to the exported policy that acts for each of them."""

import numpy as np
import pytest

import kinemill.api as km
from kinemill.errors import BadInput
from kinemill.runtime import load
from tests.policies.environments import games

pytestmark = pytest.mark.slow

HERE = "tests.policies.environments.games"


def settings(name, algorithm="ppo", **environment):
    trials = {"episodes": 3, "n_eval_episodes": 2}
    return {
        "task": "game",
        "dt": 0.1,
        "environment": {
            "type": "python",
            "path": f"{HERE}:{name}",
            "trials": trials,
            **environment,
        },
        "learn": {
            "type": "reinforcement",
            "algorithm": {"type": algorithm, "n_steps": 16},
            "model": {"type": "mlp", "hidden_sizes": [8]},
            "num_envs": 2,
            "steps": 64,
            "eval_every": 64,
            "batch_size": 16,
        },
    }


def test_sub_steps_pass_the_whole_chain_and_act_in_the_bare_environment(tracked_home):
    registered = km.run(km.make_task(**settings("Reach")), progress=False)
    assert [check for check in registered.verification.checks if not check.passed] == []
    rows = registered.verification.document.parity
    assert {"turns of side", "turns of push"} <= {row.probe for row in rows}
    policy = load(registered.training.folder)
    assert policy.agents == ("side", "push")
    environment = games.Reach()
    observation, _ = environment.reset(seed=1)
    over = False
    while not over:
        action = policy.act_native(observation, agent=environment.agent_selection)
        observation, _, over, _, _ = environment.step(action)  # checks its space
    with pytest.raises(BadInput, match="one of side, push"):
        policy.act(observation)
    with pytest.raises(BadInput, match="is 'pusch'"):
        policy.act(observation, agent="pusch")


@pytest.mark.parametrize(
    ("name", "algorithm", "policies"),
    [
        pytest.param("Countdown", "a2c", "shared", marks=pytest.mark.ci),
        ("Countdown", "ppo", "separate"),
        ("Meeting", "ppo", "shared"),
    ],
)
def test_players_of_pettingzoo_train_with_their_own_rewards(home, name, algorithm, policies):
    task = settings(name, algorithm, policies=policies, score=None)
    training = km.train(task, progress=False, track=False)
    inside = getattr(games, name)()
    if name == "Countdown":
        inside.reset(seed=2)
        for agent in inside.agent_iter():
            over = inside.terminations[agent]
            action = None if over else training.policy.act(inside.observe(agent), agent=agent)
            inside.step(action)
        assert inside.remaining == 0
        return
    observations, _ = inside.reset(seed=2)
    while inside.agents:
        actions = {
            a: training.policy.act(own_observation, agent=a)
            for a, own_observation in observations.items()
        }
        observations, *_ = inside.step(actions)
    assert all(np.isfinite(own_observation).all() for own_observation in observations.values())


EVOLUTION = {"type": "evolution", "noise": 0.3}


@pytest.mark.parametrize(
    ("name", "policies", "model"),
    [
        ("Countdown", "shared", {"type": "mlp", "hidden_sizes": [8]}),  # masks
        pytest.param(
            "Meeting",
            "shared",
            {"type": "composed", "blocks": {"all": {"type": "dense"}}},
            marks=pytest.mark.ci,
        ),
    ],
)
def test_evolution_trains_agents_that_act_in_turns(home, name, policies, model):
    score = "second" if name == "Countdown" else None
    task = settings(name, policies=policies, score=score)
    task["learn"] |= {"algorithm": EVOLUTION, "model": model, "num_envs": 4}
    training = km.train(task, progress=False, track=False)  # the export compares with torch
    assert training.summary.steps >= 64
    assert training.policy.agents


def test_evolution_improves_a_decision_in_two_sub_steps(home):
    """The best return is near 0; the actions of a network without training get about -6."""
    task = settings("Reach")
    task["environment"]["trials"] = {"episodes": 20, "n_eval_episodes": 10}
    task["learn"] |= {
        "algorithm": EVOLUTION,
        "optimizer": {"type": "adam", "lr": 0.05},
        "num_envs": 16,
        "steps": 6000,
        "eval_every": 3000,
    }
    training = km.train(task, progress=False, track=False)
    assert training.summary.final["return"] > -3.5
    for agent, space in games.Reach.action_spaces.items():
        observed = games.Reach.observation_spaces[agent].sample()
        assert space.contains(training.policy.act_native(observed, agent=agent))
