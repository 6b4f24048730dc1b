"""A policy that starts from demonstrations: it acts well before its first step."""

import json

import numpy as np
import pytest
import torch

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.errors import BadInput
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments.evaluation import RandomPolicy, try_policy
from kinemill.policies.rl.cloning import adapt_episode
from kinemill.policies.rl.learner_context import estimate
from kinemill.policies.rl.training_loop import TrainingLoop
from kinemill.register import start_of
from kinemill.store import open_ref
from kinemill.task.protocols import WarmStart
from kinemill.task.reinforcement import ALGORITHMS
from kinemill.train import load_model, start_in
from kinemill.train import stage as train
from tests.policies.environments.plants import Toward
from tests.policies.imitation.cloning import policy_task
from tests.policies.rl.test_training_loop import (
    CART,
    DOORS,
    POINT,
    bench,
    marked,
    published,
    rl_task,
    settings_of,
)
from tests.train.conftest import publish

pytestmark = pytest.mark.ci

NORMALIZED = {**POINT, "wrappers": [{"type": "normalize_observation", "steps": 50}, "frame_stack"]}
CLONING = [name for name in ALGORITHMS if ALGORITHMS[name]().pretrain_problem() is None]


def demonstrations(states=("position", "target"), dt=0.1, shift=0.0) -> PackedDataset:
    """Episodes of the expert of `Point`: one push, then rest; 3 m beyond a shift."""
    task, episodes, rows = rl_task(), [], []
    for seed, split in enumerate(["train"] * 30 + ["validation", "test"]):
        (run,) = try_policy(task, Toward(), [seed], record=1).episodes
        start = 10 * seed
        episodes.append(PackedEpisode(split + str(seed), "r", "r.csv", split, start, start + 10))
        rows.append(np.c_[run.observations["observation"][:-1] + shift, run.actions])
    values = np.concatenate(rows).astype(np.float32)
    return PackedDataset(
        task="expert",
        dt=dt,
        states=list(states),
        actions=["action_0"],
        units={states[0]: "m", states[1]: "m", "action_0": "1"},
        angles=[],
        episodes=episodes,
        segments=[values],
        mean=values.mean(0),
        std=values.std(0),
        delta_std=np.ones(2),
    )


def data_start(home, **how) -> WarmStart:
    ref = publish(home, demonstrations(**how))
    return WarmStart("datasets:/expert/1", ref.digest, str(open_ref(home, ref)))


def cloning(environment=POINT, algorithm="ppo", **learn):
    settings = {"steps": 500, "lr": 3e-3, "batch_size": 32, **learn.pop("pretrain", {})}
    model = {"type": "mlp", "hidden_sizes": [32]}
    learn = {"model": model, "steps": 32, "start_from": "datasets:/expert", **learn}
    return rl_task(environment, algorithm, pretrain=settings, **learn)


def clone_policy(task, start):
    """Return the learner after cloning, and the return of its policy at step 0."""
    layout = layout_of(task, make_environment(task))
    loop = TrainingLoop(task, layout, bench(start=start))
    episodes = loop._demonstrations()
    loop._estimates = loop._initial_estimates(episodes)
    site = loop.site()
    learner = loop.learner(site)
    weights_before = {name: value.clone() for name, value in learner.restart_weights().items()}
    loop._clone(learner, site, episodes)
    return learner, weights_before, loop


def random_return(environment):
    task = rl_task(environment)
    policy = RandomPolicy(make_environment(task).action_space)
    return try_policy(task, policy, range(20)).mean_return


@pytest.mark.parametrize(
    "name", marked([name for name in CLONING if name != "maskable_ppo"], "ppo", "td3")
)
def test_a_cloned_policy_acts_like_the_demonstrations_at_step_0(home, name):
    """The expert moves 1 m at most; ten random pushes of up to 2 m cost 20 and more."""
    task = cloning(NORMALIZED, {**settings_of(name), "features": 16})
    learner, weights_before, training = clone_policy(task, data_start(home))
    assert random_return(POINT) < -10.0
    assert training._state.history["pretrain/return"][0][1] > -3.0
    after = learner.restart_weights()
    critics = [weight for weight in weights_before if "critic" in weight or "value" in weight]
    assert critics
    assert all(torch.equal(weights_before[critic], after[critic]) for critic in critics)  # fresh
    targets = [weight for weight in after if weight.startswith("actor_target.")]
    for target in targets:
        assert torch.equal(after[target], after[target.replace("_target", "")])
    assert bool(targets) == (name == "td3")


def test_a_gaussian_keeps_enough_deviation_to_explore(home):
    narrow, _, _ = clone_policy(cloning(pretrain={"min_std": 1e-3}), data_start(home))
    learner, _, _ = clone_policy(cloning(pretrain={"min_std": 0.4}), data_start(home))
    std = [weight.model.policy.log_std.exp().item() for weight in (narrow, learner)]
    assert std[0] < 0.5
    assert std[1] == pytest.approx(0.8)  # 0.4 of half the range, 2 m


@pytest.mark.parametrize(("spec", "name"), [(CART, "a2c"), (DOORS, "maskable_ppo")])
def test_choices_are_cloned_too_with_their_masks(home, spec, name):
    """A policy decides alike in each state, so the likelihood of its choices goes to 1."""
    teacher = start_in(published(rl_task(spec, name, steps=64), home))
    task = cloning(spec, name, start_from=teacher.folder, pretrain={"episodes": 10, "steps": 300})
    _, _, training = clone_policy(task, teacher)
    first, last = (
        training._state.history[f"pretrain/{key}"][0][1] for key in ("first_loss", "loss")
    )
    assert first > 0.2
    assert last < 0.3 * first


def test_normalization_knows_the_demonstrations():
    """50 random observations and as many 100 m away have a mean of 50 m and more."""
    task = rl_task(NORMALIZED)
    layout = layout_of(task, make_environment(task))
    far = np.full((50, 2), 100.0, np.float32)
    mean = estimate(task, layout, 1, [far])[0]["mean"]
    alone = estimate(task, layout, 1)[0]["mean"]
    assert mean == pytest.approx((alone + 100.0) / 2, rel=1e-5)


def test_wrappers_with_a_memory_see_each_episode_from_its_start():
    task = rl_task({**POINT, "wrappers": ["frame_stack"]})
    layout = layout_of(task, make_environment(task))
    from kinemill.policies.rl.actor import adapters_of

    chain = adapters_of(task.environment.wrappers, layout)
    rows = adapt_episode(chain, np.arange(6.0).reshape(3, 2))
    assert rows[:, -4:].tolist() == [[0, 1, 0, 1], [0, 1, 2, 3], [2, 3, 4, 5]]


def test_an_imitation_policy_starts_a_reinforcement_and_remains_the_best_policy(home):
    """At a rate of 1e-9 nothing gets better than the clone, which is published."""
    data = demonstrations()
    settings = {"steps": 300, "batch_size": 32, "eval_every": 300, "optimizer": {"lr": 1e-2}}
    task = policy_task(**settings)
    channels = {
        "position": {"role": "state", "unit": "m"},
        "target": {"role": "state", "unit": "m"},
        "action_0": {"role": "action", "unit": "1", "limits": [-2, 2]},
    }
    task = type(task).model_validate(
        {**task.model_dump(mode="json", by_alias=True), "channels": channels, "dt": 0.1}
    )
    ref = publish(home, data)
    from kinemill.task.protocols import NullReporter

    quiet = (NullReporter(), NullReporter())
    model = open_ref(home, train.run(task, home, ref, ref, quiet).ref)
    start = start_in(model)
    slow = {"type": "adam", "lr": 1e-9}
    changed = {"start_from": str(model), "optimizer": slow, "pretrain": {"episodes": 20}}
    folder = published(cloning(NORMALIZED, **changed), home, start=start)
    history = json.loads((folder / "history.json").read_text())
    assert history["pretrain/return"][0][1] > -3.0
    policy = load_model(folder)
    near = [policy(torch.tensor([[x, 0.0]]), *policy.initial_carry(1))[0].item() for x in (-1, 1)]
    assert near == pytest.approx([1.0, -1.0], abs=0.4)


def test_demonstrated_steps_enter_the_replay_buffer(home):
    """A policy of PPO fills the buffer of SAC: rewards scaled, cut episodes marked."""
    teacher = start_in(published(rl_task(steps=64), home))
    spec = {**POINT, "wrappers": [{"type": "reward_scaling", "factor": 0.5}, "action_scaling"]}
    task = cloning(
        spec,
        "sac",
        start_from=teacher.folder,
        pretrain={"episodes": 3, "replay": True, "steps": 1},
        num_envs=1,
    )
    learner, _, _ = clone_policy(task, teacher)
    buffer = learner.model.replay_buffer
    assert buffer.pos == 30
    ends = buffer.dones[:30, 0].astype(bool)
    assert ends.nonzero()[0].tolist() == [9, 19, 29]
    assert (buffer.timeouts[:30, 0].astype(bool) == ends).all()
    here, then = buffer.observations[:30, 0, 0], buffer.next_observations[:30, 0, 0]
    pushed = 2.0 * buffer.actions[:30, 0, 0]  # limits of 2 m
    assert then == pytest.approx(here + pushed, abs=1e-5)
    assert buffer.rewards[:30, 0] == pytest.approx(-0.5 * np.abs(then), abs=1e-5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"states": ("place", "target")}, "lacks the observations position of the task"),
        ({"dt": 0.2}, r"has the time step 0\.2 s; expected dt: 0\.1"),
    ],
)
def test_demonstrations_of_another_robot_are_refused(home, how, message):
    with pytest.raises(BadInput, match=message):
        clone_policy(cloning(), data_start(home, **how))


def test_a_policy_with_other_observations_or_actions_is_refused(home):
    teacher = start_in(published(rl_task(steps=64), home))
    with pytest.raises(BadInput, match="has the observations position, target, unknown to the"):
        clone_policy(cloning(CART, start_from=teacher.folder), teacher)
    with pytest.raises(BadInput, match=r"learn\.pretrain: \{\} to clone its actions"):
        published(rl_task(POINT, "sac", start_from=teacher.folder), home, start=teacher)


@pytest.mark.parametrize(
    ("learn", "message"),
    [
        ({"pretrain": {}}, "has nothing to clone"),
        ({"start_from": "datasets:/a"}, "is a dataset"),
        ({"start_from": "datasets:/a", "pretrain": {"replay": True}}, "no replay buffer"),
        ({"start_from": "m", "pretrain": {}, "algorithm": "dqn"}, "no actor that cloning can fit"),
        (
            {"start_from": "datasets:/a", "pretrain": {"replay": True}, "algorithm": "sac"},
            "needs the rewards",
        ),
    ],
)
def test_settings_without_effect_are_refused(learn, message):
    (problem,) = rl_task(**learn).learn.problems({})
    assert message in problem[1]


def test_a_dataset_is_named_by_its_task_and_number(home):
    ref = publish(home, demonstrations())
    from kinemill.dataset.catalog import enter

    enter(home, "expert", ref)
    start = start_of(cloning(start_from="datasets:/expert"), home)
    assert (start.address, start.digest) == ("datasets:/expert/1", ref.digest)
    assert start_of(cloning(start_from="datasets:/expert/1"), home) == start
    with pytest.raises(BadInput, match="dataset version '2'"):
        start_of(cloning(start_from="datasets:/expert/2"), home)
    with pytest.raises(BadInput, match=r"is a dataset; expected a trained model"):
        start_of(policy_task(start_from="datasets:/expert"), home)
