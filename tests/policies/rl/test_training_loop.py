"""Reinforcement: every algorithm, what a checkpoint holds, what a policy takes along."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from kinemill.api.rollouts import rollout_policy
from kinemill.errors import BadInput, TrainingFailed
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments.card import make_card
from kinemill.policies.rl.evaluation import Evaluator
from kinemill.policies.rl.learner import Forecast
from kinemill.policies.rl.learner_context import estimate, open_site
from kinemill.policies.rl.sb3 import ForecastCallback
from kinemill.policies.rl.training_loop import TrainingLoop, derive_seed
from kinemill.register import start_of
from kinemill.store import open_ref
from kinemill.store.home import Home
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter
from kinemill.task.reinforcement import ALGORITHMS
from kinemill.train import TrainingJob, load_model, start_in
from kinemill.train import stage as train
from kinemill.train.checkpoint import open_checkpoint, pack_tensors
from kinemill.train.kept_checkpoint import list_checkpoints, publish_checkpoint

POINT = {
    "type": "python",
    "path": "tests.policies.environments.plants:Point",
    "steps": 10,
    "trials": {"episodes": 4, "n_eval_episodes": 2},
}
DOORS = {**POINT, "path": "tests.policies.environments.plants:Doors"}
CART = {"type": "gymnasium", "id": "CartPole-v1", "trials": {"episodes": 4, "n_eval_episodes": 2}}
ON_POLICY = ("ppo", "a2c", "maskable_ppo", "recurrent_ppo")


def settings_of(name: str) -> dict:
    settings = {"type": name, **({"n_steps": 16} if name in ON_POLICY else {})}
    if name in ("dqn", "qrdqn"):
        settings["target_update_interval"] = 32
    if name in ("ppo", "maskable_ppo", "recurrent_ppo"):
        settings["n_epochs"] = 2
    return settings | ({"lstm_hidden_size": 8} if name == "recurrent_ppo" else {})


def rl_task(environment=POINT, algorithm="ppo", **learn) -> Task:
    algorithm = settings_of(algorithm) if isinstance(algorithm, str) else algorithm
    learn = {
        "type": "reinforcement",
        "algorithm": algorithm,
        "model": {"type": "mlp", "hidden_sizes": [8]},
        "num_envs": 2,
        "steps": 192,
        "eval_every": 32,
        "evals_per_round": 2,
        "save_every": 64,
        "batch_size": 16,
        **learn,
    }
    return Task.model_validate(
        {"task": "point", "dt": 0.1, "learn": learn, "environment": environment}
    )


def site_of(task, **how):
    layout = layout_of(task, make_environment(task))
    estimates = estimate(task, layout, derive_seed(task.learn.seed, "estimate"))
    return open_site(task, layout, estimates, torch.device("cpu"), **how)


def place_of(name: str) -> dict:
    algorithm = ALGORITHMS[name]
    return DOORS if algorithm.masked else (POINT if "continuous" in algorithm.acts else CART)


VARIANTS = {
    **{name: settings_of(name) for name in ALGORITHMS},
    "sde_sac": {**settings_of("sac"), "train_freq": 4, "sde_sample_freq": 2},
    "sde_tqc": {**settings_of("tqc"), "train_freq": 4, "sde_sample_freq": 4},
}


def marked(names, *quick):
    """Return names as parameters; those that are not quick are marked `ci`."""
    return [pytest.param(item, marks=[] if item in quick else [pytest.mark.ci]) for item in names]


@pytest.mark.parametrize("variant", marked(VARIANTS, "ppo", "recurrent_ppo", "sac", "evolution"))
def test_restored_state_of_an_algorithm_continues_bit_for_bit(variant, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    algorithm = VARIANTS[variant]
    task = rl_task(place_of(algorithm["type"]), algorithm)
    straight = task.learn.algorithm.learner(site_of(task))
    straight.advance(64, 1)
    groups, state = straight.state()
    groups = {
        group: {key: item.clone() for key, item in tensors.items()}
        for group, tensors in groups.items()
    }
    first_steps = straight.step
    straight.advance(first_steps + 64, 2)

    changed = task.learn.algorithm.learner(site_of(task))
    changed.restore(groups, state)
    assert changed.step == first_steps
    changed.advance(first_steps + 64, 2)
    assert changed.step == straight.step
    assert pack_tensors(changed.state()[0]) == pack_tensors(straight.state()[0])
    # Training leaves nothing in the temporary folder; torch makes a cache once in a process.
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("torchinductor_")]


@pytest.mark.parametrize(
    "variant",
    marked(
        [name for name in VARIANTS if name != "evolution"], "ppo", "recurrent_ppo", "sac", "dqn"
    ),
)
def test_the_policy_does_what_the_library_would_do(variant):
    algorithm = VARIANTS[variant]
    name = algorithm["type"]
    task = rl_task(place_of(name), algorithm)
    learner = task.learn.algorithm.learner(site_of(task))
    learner.advance(64, 1)
    random, layout = np.random.default_rng(0), layout_of(task, make_environment(task))
    policy = TrainingLoop(task, layout, bench()).policy(learner)
    mask = np.array([[0, 1, 0, 1, 1]] * 7, np.float32) if layout.mask else None
    carry, memory, start = policy.initial_carry(7), None, np.ones(7, bool)
    for _ in range(3):
        observation = random.normal(0.0, 2.0, (7, len(layout.observation))).astype(np.float32)
        inputs = [torch.from_numpy(item) for item in (observation, mask) if item is not None]
        with torch.no_grad():
            action, *carry = policy(*inputs, *carry)
        how = {"action_masks": mask} if layout.mask else {}
        if name == "recurrent_ppo":
            how = {"state": memory, "episode_start": start}
        expected, memory = learner.model.predict(observation, deterministic=True, **how)
        start = np.zeros(7, bool)
        assert action.numpy() == pytest.approx(expected.reshape(7, -1), abs=1e-5)


@pytest.mark.parametrize(
    ("algorithm", "model"),
    [
        ({"type": "ppo", "n_steps": 16, "critic": "shared"}, {"type": "mlp", "hidden_sizes": [8]}),
        ({"type": "ppo", "n_steps": 16}, {"type": "mlp", "hidden_sizes": [8], "layer_norm": True}),
        ({"type": "a2c", "n_steps": 16, "features": 6}, {"type": "transformer"}),
        ({"type": "sac"}, {"type": "mlp", "hidden_sizes": [8], "layer_norm": True}),
    ],
)
def test_networks_may_be_shared_or_of_any_family(home, algorithm, model):
    task = rl_task(POINT, algorithm, model=model, steps=64)
    policy = load_model(published(task, home))
    learner = task.learn.algorithm.learner(site_of(task))
    learner.start(policy.restart.named())
    observation = np.random.default_rng(0).normal(0.0, 1.0, (5, 2)).astype(np.float32)
    expected = learner.model.predict(observation, deterministic=True)[0]
    assert policy(torch.from_numpy(observation))[0].detach().numpy() == pytest.approx(
        expected, abs=1e-5
    )


def bench(folder=None, listeners=None, start=None):
    from kinemill.train.context import TrainingContext

    return TrainingContext(
        folder, listeners or (NullReporter(), NullReporter()), torch.device("cpu"), start
    )


class Dies(NullReporter):
    """Ends the training when it hears of its evaluation after so many steps."""

    def __init__(self, step):
        self._step = step

    def log_metrics(self, metrics, step):
        if step >= self._step:
            raise KeyboardInterrupt


def published(task, home, listener=None, start=None):
    card = make_card(task, home)
    quiet = NullReporter()
    return open_ref(
        home, train.run(task, home, card.ref, card.ref, (listener or quiet, quiet), start).ref
    )


class Stops(BaseCallback):
    """Ends the training at a step, as `StopTrainingOnMaxEpisodes` of stable-baselines3 does."""

    def _on_step(self):
        return self.num_timesteps < 40


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_a_callback_of_the_library_ends_the_training(name, tmp_path):
    task = rl_task(POINT, name)
    task.learn.call([Stops()])
    layout = layout_of(task, make_environment(task))
    trained = TrainingLoop(task, layout, bench(tmp_path)).run()
    assert 40 <= trained.step <= 64
    assert len(trained.history["evaluation/return"]) == 2  # after 32 steps, and at the end


def test_a_training_that_was_interrupted_ends_with_the_same_weights(home, tmp_path):
    task = rl_task({**POINT, "wrappers": [{"type": "normalize_observation", "steps": 50}]}, "ppo")
    get_or_build = published(task, Home(tmp_path / "other"))
    with pytest.raises(KeyboardInterrupt):
        published(task, home, Dies(160))
    repeated = published(task, home)
    for file in ("weights.safetensors", "history.json"):
        assert (get_or_build / file).read_bytes() == (repeated / file).read_bytes(), file


def test_a_chosen_checkpoint_holds_the_whole_state(home, tmp_path):
    """128 steps and 64 more from their first checkpoint on end as 128 other steps would."""
    algorithm = {**settings_of("sac"), "learning_starts": 20}
    point = {**POINT, "wrappers": [{"type": "normalize_observation", "steps": 50}]}
    expected = published(rl_task(point, algorithm), Home(tmp_path / "other"))
    published(rl_task(point, algorithm, steps=128, keep={"every": 64}), home)
    first, *_ = sorted(home.runs.glob("point/*/checkpoint-*"))
    repeated = published(
        rl_task(point, algorithm, start_from=str(first)), home, None, start_in(first)
    )
    for file in ("weights.safetensors", "history.json"):
        assert (expected / file).read_bytes() == (repeated / file).read_bytes(), file


def test_kept_checkpoints_are_ranked_by_return_and_each_is_a_policy(home):
    folder = published(rl_task(keep={"every": 64}), home)
    listed = list_checkpoints(home, "point")
    assert {entry.step for entry in listed} == {64, 128, 192}
    returns = [entry.value for entry in listed]
    assert returns == sorted(returns, reverse=True)
    names = load_model(folder).state_dict()
    for entry in listed:
        checkpoint = Path(entry.folder)
        policy = load_model(home.root / publish_checkpoint(home, checkpoint).ref.path)
        weights = open_checkpoint(checkpoint)[0]["weights"]
        assert policy.state_dict().keys() == names.keys()
        assert all((policy.state_dict()[name] == value).all() for name, value in weights.items())
    address = listed[0].folder
    rolled = rollout_policy(rl_task(keep={"every": 64}), model=address, to=home.root / "logs")
    assert [path.is_file() for path in rolled.files] == [True]
    continued = start_of(rl_task(start_from=address), home)
    cloned = start_of(rl_task(start_from=address, pretrain={}), home)
    assert continued.folder == address
    assert (Path(cloned.folder) / "weights.safetensors").is_file()


def test_a_checkpoint_of_other_networks_is_refused(home):
    published(rl_task(steps=64, keep={"every": 64}), home)
    (checkpoint,) = home.runs.glob("point/*/checkpoint-*")
    changed = rl_task(model={"type": "mlp", "hidden_sizes": [9]}, start_from=str(checkpoint))
    with pytest.raises(BadInput, match="is a checkpoint of another algorithm or other networks"):
        published(changed, home, None, start_in(checkpoint))


def test_weights_alone_are_nothing_to_resume_and_other_settings_neither(home):
    """`--resume` goes on with a whole training, or says what it lacks; weights are `start_from`."""
    task = rl_task()
    card = make_card(task, home)
    published(rl_task(steps=64), home)
    with pytest.raises(BadInput, match="no training of point was interrupted after a checkpoint"):
        TrainingJob(task, home, card.ref, card.ref).check_resume()
    with pytest.raises(KeyboardInterrupt):
        published(task, home, Dies(160))
    TrainingJob(task, home, card.ref, card.ref).check_resume()
    changed = rl_task(optimizer={"type": "adam", "lr": 0.5})
    with pytest.raises(BadInput, match=r"learn\.optimizer\.lr: 0\.0003 -> 0\.5"):
        TrainingJob(changed, home, card.ref, card.ref).check_resume()


AGENTS = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]  # observations of two agents


@pytest.mark.parametrize(
    ("environment", "observations", "expected"),
    [
        # 1 + 0.8 + 0.64 ... = 5: what comes after the limit of time still counts
        ({"path": "plants:Steady", "steps": 3}, [[1.0]], 5.0),
        # 1, 1 + 0.8, 1 + 0.8 + 0.64: before the last, second and third last step; 1.75 in mean
        ({"path": "plants:Steady", "arguments": {"ends": 3}}, [[1.0]], 1.75),
        pytest.param({"path": "games:Wages", "steps": 3}, AGENTS, 5.0, marks=pytest.mark.slow),
        # the mean of 1 and 1.8
        pytest.param(
            {"path": "games:Wages", "arguments": {"ends": 4}}, AGENTS, 1.4, marks=pytest.mark.slow
        ),
    ],
)
def test_critics_distinguish_truncated_from_terminated_episodes(
    environment, observations, expected
):
    path = f"tests.policies.environments.{environment['path']}"
    algorithm = {"type": "a2c", "gamma": 0.8, "n_steps": 12, "normalize_advantage": True}
    optimizer = {"type": "adam", "lr": 0.02}
    where = {"type": "python", **environment, "path": path}
    task = rl_task(where, algorithm, optimizer=optimizer, num_envs=4)
    learner = task.learn.algorithm.learner(site_of(task))
    learner.advance(6_000, 3)
    values = learner.model.policy.predict_values(torch.tensor(observations))[:, 0].tolist()
    assert values == pytest.approx([expected] * len(observations), abs=0.25)


def test_a_published_policy_sees_what_a_robot_sees(home):
    """Normalization, stack and scaling go with it: only an observation in units goes in."""
    wrappers = [
        "frame_stack",
        {"type": "normalize_observation", "steps": 100},
        "action_scaling",
        "reward_scaling",
    ]
    task = rl_task({**POINT, "wrappers": wrappers}, steps=64)
    policy = load_model(published(task, home))
    assert policy.layout.inputs == ("observation",)
    assert policy.carry_shapes == ((1,), (6,))
    mean = policy.adapters[1].mean
    assert mean.shape == (8,)
    assert float(mean[::2].abs().max()) > 0.0
    learner = task.learn.algorithm.learner(site_of(task))
    learner.start(policy.restart.named())
    outside, inside = make_environment(task), site_of(task).environment
    inside.seed(5)
    observation, stacked = outside.reset(seed=5)[0], inside.reset()
    carry = policy.initial_carry(1)
    for _ in range(5):
        action, *carry = policy(torch.from_numpy(observation)[None], *carry)
        scaled = learner.model.predict(stacked, deterministic=True)[0]
        assert action.item() == pytest.approx(2.0 * scaled[0, 0], abs=1e-5)
        observation = outside.step(action.detach().numpy()[0])[0]
        stacked = inside.step(scaled)[0]


def test_a_policy_says_nan_where_it_saw_nan():
    for name in ("ppo", "recurrent_ppo", "sac", "maskable_ppo"):
        task = rl_task(place_of(name), name)
        layout = layout_of(task, make_environment(task))
        policy = TrainingLoop(task, layout, bench()).policy(
            task.learn.algorithm.learner(site_of(task))
        )
        inputs = policy.blank(3)
        inputs[0][1, 0] = torch.nan  # a robot's own first number, of the second row
        action = policy(*inputs, *policy.initial_carry(3))[0]
        assert torch.isnan(action).all(dim=1).tolist() == [False, True, False], name


def test_an_a2c_goes_on_from_what_ppo_learned_with_its_critic_and_normalization(home):
    wrappers = [{"type": "normalize_observation", "steps": 100}]
    first = rl_task({**POINT, "wrappers": wrappers}, "ppo", steps=128)
    start = start_in(published(first, home))
    task = rl_task(
        {**POINT, "wrappers": wrappers},
        "a2c",
        optimizer={"type": "adam", "lr": 1e-9},
        steps=64,
        seed=4,
        start_from=start.folder,
    )
    resumed, previous = (
        load_model(published(task, home, start=start)),
        load_model(Path(start.folder)),
    )
    # At a rate of 1e-9 nothing moves: the critic, the deviation of actions, mean and spread.
    assert set(resumed.state_dict()) == set(previous.state_dict())
    for name, value in previous.state_dict().items():
        assert torch.allclose(resumed.state_dict()[name], value, atol=1e-6), name
    assert any("value_net" in name for name in resumed.state_dict())


def test_what_cannot_be_gone_on_from_is_told(home):
    start = start_in(published(rl_task(steps=64), home))
    for changed, message in (
        ({"algorithm": {"type": "sac"}}, "was trained by ppo"),
        ({"model": {"type": "mlp", "hidden_sizes": [9]}}, "other networks"),
        ({"environment": {**POINT, "wrappers": ["frame_stack"]}}, "has the wrappers"),
    ):
        task = rl_task(start_from=start.folder, steps=64, **changed)
        with pytest.raises(BadInput, match=message):
            published(task, home, start=start)


def test_forbidden_choices_are_never_taken_and_allowed_ones_learned(home):
    task = rl_task(
        DOORS, "maskable_ppo", optimizer={"type": "adam", "lr": 0.02}, steps=1024, eval_every=512
    )
    policy = load_model(published(task, home))
    observation = torch.eye(2)
    mask = torch.tensor([[1, 0, 0, 1, 1], [0, 1, 0, 1, 1]]).float()
    assert policy(observation, mask)[0].tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_a_return_that_is_no_number_ends_the_training():
    task = rl_task({**POINT, "path": "tests.policies.environments.plants:Broken"})
    loop = TrainingLoop(task, layout_of(task, make_environment(task)), bench())
    policy = loop.policy(task.learn.algorithm.learner(site_of(task)))
    with pytest.raises(TrainingFailed, match="a return of nan; check its rewards"):
        Evaluator(task).run(policy, [0, 1])


def test_a_return_that_is_no_number_is_told_before_anything_is_learned(home):
    """Chance already brings it: the card names environment, seed and step."""
    task = rl_task({**POINT, "path": "tests.policies.environments.plants:Broken"})
    message = r"environment of point, seed 1000000: the reward of step 0 is nan, actions drawn at"
    with pytest.raises(BadInput, match=message):
        make_card(task, home)
    task = rl_task({**POINT, "path": "tests.policies.environments.plants:Rich"})
    with pytest.raises(BadInput, match="the rewards come to a return of inf"):
        make_card(task, home)


def test_settings_that_mean_nothing_are_refused(tmp_path):
    from kinemill.errors import TaskError
    from kinemill.task import load_task

    text = "task: one\ndt: 0.1\nenvironment: Pendulum-v1\nlearn:\n  type: reinforcement\n"
    path = tmp_path / "one.yaml"
    path.write_text(text + "  algorithm: sac\n  ema: 0.9\n")
    with pytest.raises(TaskError, match=r"one.yaml:7: learn.ema: has no effect"):
        load_task(path)
    path.write_text(text + "  algorithm: sac\n")
    assert load_task(path).learn.algorithm.type == "sac"


def test_statistics_of_episodes_are_curves(home):
    import json

    folder = published(rl_task(steps=64), home)
    history = json.loads((folder / "history.json").read_text())
    expected = {"train/return", "train/length", "train/success", "episodes/event/pushed"}
    expected |= {"episodes/action/action_0/mean", "learner/value_loss", "evaluation/return"}
    assert expected <= set(history)
    # 16 steps of each copy, then 32: the episode of 10 that began in the first goes on
    assert history["train/length"] == [[32, 10.0], [64, 10.0]]
    assert history["episodes/count"] == [[32, 2.0], [64, 4.0]]
    header, first, second = (folder / "statistics.csv").read_text().splitlines()
    column = header.split(",").index("train/length")
    assert [line.split(",")[column] for line in (first, second)] == ["10", "10"]
    assert [line.split(",")[0] for line in (first, second)] == ["32", "64"]


def test_forecast_after_ten_seconds_names_the_remaining_time(monkeypatch):
    messages = []
    progress = NullReporter()
    progress.log_message = messages.append
    forecast = Forecast(progress, 1_000_000)
    callback = ForecastCallback(forecast)
    callback.model = SimpleNamespace(learning_starts=100)
    clock = iter([0.0, 4.0, 10.0])  # s
    monkeypatch.setattr("kinemill.policies.rl.learner.time.monotonic", lambda: next(clock))
    for steps in (64, 128, 5_000, 10_128, 20_000):  # the first is before any update
        callback.num_timesteps = steps
        callback.on_rollout_start()
    expected = "takes about 16 min 30 s and the time of its evaluations"
    assert messages == [f"1,000 steps/s: the training up to step 1,000,000 {expected}"]
