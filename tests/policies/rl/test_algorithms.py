"""The table of algorithms in the documentation, each cell against the code."""

import pytest
from pydantic import ValidationError

from kinemill.policies.rl.algorithms._off_policy import OffPolicy, Replaying
from kinemill.policies.rl.algorithms._on_policy import ActorCritic
from kinemill.task.reinforcement import ALGORITHMS
from tests.conftest import ROOT
from tests.policies.rl.test_training_loop import POINT, place_of, rl_task, settings_of, site_of

_PAGE = (ROOT / "docs/reinforcement.md").read_text().split("## Choose an algorithm")[1]
_LINES = [line.strip("|").split("|") for line in _PAGE.split("\n\n")[1].splitlines()]
HEADER, *ROWS = [[cell.strip() for cell in line] for line in (_LINES[0], *_LINES[2:])]
TABLE = {row[0].strip("`"): dict(zip(HEADER, row, strict=True)) for row in ROWS}
ACTIONS = {"numbers": "continuous", "choice": "choice", "choices": "choices", "mixed": "mixed"}


def test_the_table_has_each_algorithm():
    assert sorted(TABLE) == sorted(ALGORITHMS)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_table_is_what_the_code_does(name):
    row, algorithm = TABLE[name], ALGORITHMS[name].model_validate({"type": name})
    assert [ACTIONS[part] for part in row["actions"].split(", ")] == list(algorithm.acts)
    assert (row["memory"] == "LSTM") == algorithm.recurrent
    assert (row["images"] == "yes") == algorithm.reads_images
    assert (row["agents in turns"] == "yes") == algorithm.multi_agent
    masks = {"required": (True, True), "optional": (True, False)}
    kinds = row["masks"].split(", ")
    assert masks.get(kinds[0], (False, False)) == (algorithm.masked, algorithm.needs_mask)
    assert ("in turns" in kinds) == algorithm.multi_agent
    others = [kind for kind in ALGORITHMS if algorithm.compatible(kind)]
    assert row["networks of (`start_from`)"] == ", ".join(f"`{kind}`" for kind in sorted(others))
    is_off_policy = isinstance(algorithm, Replaying)
    assert row["learns from"].startswith("off-policy") == is_off_policy
    assert row["learns from"].startswith("on-policy") == isinstance(algorithm, ActorCritic)
    fit = {True: "squared error, `replay`", False: "likelihood"}[isinstance(algorithm, OffPolicy)]
    assert row["`pretrain`"] == ("-" if algorithm.pretrain_problem() else fit)


@pytest.mark.parametrize(
    "name", [name for name in ALGORITHMS if issubclass(ALGORITHMS[name], Replaying)]
)
def test_a_sampled_step_has_not_ended_where_a_time_limit_cut_it_off(name):
    environment = {**place_of(name), "steps": 4}
    settings = {**settings_of(name), "learning_starts": 1000}
    learner = rl_task(environment, settings).learn.algorithm.learner(
        site_of(rl_task(environment, settings))
    )
    learner.advance(40, 0)
    buffer = learner.model.replay_buffer
    assert buffer.dones[: buffer.pos].sum() >= 10
    assert buffer.sample(200).dones.sum() == 0.0


@pytest.mark.slow
def test_the_value_of_a_recurrent_policy_goes_on_behind_a_time_limit():
    """Rewards of 1 with a discount of 0.8, cut off after three: 5, not 1.75."""
    import torch

    where = {"type": "python", "path": "tests.policies.environments.plants:Steady", "steps": 3}
    algorithm = {**settings_of("recurrent_ppo"), "gamma": 0.8, "n_steps": 48}
    task = rl_task(where, algorithm, optimizer={"type": "adam", "lr": 0.02}, num_envs=4)
    learner = task.learn.algorithm.learner(site_of(task))
    learner.advance(4_000, 3)
    policy = learner.model.policy
    memory = (torch.zeros(1, 1, 8), torch.zeros(1, 1, 8))
    value = policy.predict_values(torch.ones(1, 1), memory, torch.ones(1)).item()
    assert value == pytest.approx(5.0, abs=0.6)


def test_state_dependent_noise_is_kept_between_its_draws():
    """A new draw at each step would be independent noise; the library draws after each update."""
    settings = {**settings_of("sac"), "learning_starts": 0, "train_freq": 8, "sde_sample_freq": 8}
    task = rl_task(POINT, settings, num_envs=1)
    learner = task.learn.algorithm.learner(site_of(task))
    assert learner.model.use_sde
    drawn = list[bytes]()
    learner.model.actor.forward = _noted(learner.model.actor, drawn)
    learner.advance(32, 0)
    assert len(drawn) >= 32
    assert len(set(drawn)) <= 32 // 8 + 1


def _noted(actor, drawn):
    """Return the forward call of an actor that notes which noise acts."""
    forward = actor.forward

    def noted(observations, deterministic=False):
        drawn.append(actor.action_dist.exploration_mat.numpy().tobytes())
        return forward(observations, deterministic)

    return noted


def test_state_dependent_noise_needs_updates_at_the_same_steps():
    with pytest.raises(ValidationError, match="sde_sample_freq 3 does not divide train_freq 8"):
        rl_task(POINT, {**settings_of("sac"), "train_freq": 8, "sde_sample_freq": 3})


@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_exploration_begins_with_the_stated_spread(algorithm):
    task = rl_task(POINT, {**settings_of(algorithm), "log_std_init": -2.0})
    policy = task.learn.algorithm.learner(site_of(task)).model.policy
    assert policy.log_std.tolist() == [-2.0] * len(policy.log_std)
