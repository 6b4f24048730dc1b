import h5py
import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments.evaluation import (
    RandomPolicy,
    bootstrap,
    run_episode,
    success_in,
    try_policy,
)
from kinemill.policies.environments.factory import LONGEST, Ending
from kinemill.policies.environments.logs import write_episode
from kinemill.task.document import Task
from tests.policies.environments.plants import Toward

POINT = {"type": "python", "path": "tests.policies.environments.plants:Point", "steps": 20}


class Hold:
    """Does nothing, which costs no time."""

    def reset(self, seed):
        pass

    def act(self, observation):
        return 0.0


def task_in(environment, channels=None, **learn) -> Task:
    learn = {"type": "dynamics", "model": {"type": "mlp"}, **learn}
    value = {"task": "point", "dt": 0.1, "learn": learn, "environment": environment}
    return Task.model_validate(value | ({"channels": channels} if channels else {}))


def test_a_name_is_a_gymnasium_id_and_a_colon_makes_it_a_class():
    assert make_environment(task_in("CartPole-v1")).spec.id == "CartPole-v1"
    point = make_environment(task_in("tests.policies.environments.plants:Point"))
    assert type(point.unwrapped).__name__ == "Point"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ("CartPole-v9", "cannot be made"),
        ("nowhere:Env", "cannot be imported"),
        ("tests.policies.environments.plants:Pointt", "did you mean 'Point'"),
        ({**POINT, "arguments": {"edges": 1}}, "unexpected keyword argument 'edges'"),
        (
            {**POINT, "path": "tests.policies.environments.plants:Toward"},
            "expected a gymnasium.Env",
        ),
        ({**POINT, "randomize": {"gain2": [0.5, 1.5]}}, "did you mean 'gain'"),
    ],
)
def test_what_is_no_environment_is_said_to_be_none(environment, message):
    with pytest.raises(BadInput, match=message):
        make_environment(task_in(environment))


def test_the_tasks_limit_of_time_cuts_off_and_ends_nothing():
    task = task_in(POINT)
    run = run_episode(task, make_environment(task), Toward(), 3)
    assert (len(run.rewards), run.terminated) == (20, False)
    joint = task_in({"type": "gymnasium", "id": "Pendulum-v1", "steps": 7})
    environment = make_environment(joint)
    environment.reset(seed=0)
    ends = [environment.step(np.zeros(1, np.float32))[2:4] for _ in range(7)]
    assert ends == [(False, False)] * 6 + [(False, True)]


@pytest.mark.ci
def test_an_episode_without_an_end_is_refused_and_one_that_ends_late_is_not():
    steady = {"type": "python", "path": "tests.policies.environments.plants:Steady"}
    task = task_in(steady)
    with pytest.raises(BadInput, match=r"of point: an episode has no end: 100,000 steps") as error:
        try_policy(task, Hold(), [0])
    assert "set environment.steps" in str(error.value)
    late = task_in({**steady, "arguments": {"ends": LONGEST}})
    assert try_policy(late, Hold(), [0]).lengths == (LONGEST,)
    longer = task_in({**steady, "steps": LONGEST + 1})
    assert try_policy(longer, Hold(), [0]).lengths == (LONGEST + 1,)


def test_a_registered_limit_is_one():
    environment = make_environment(task_in("CartPole-v1"))
    while environment is not environment.unwrapped:
        assert not isinstance(environment, Ending)
        environment = environment.env


def test_a_limit_longer_than_gymnasiums_own_counts():
    task = task_in({"type": "gymnasium", "id": "Pendulum-v1", "steps": 300})
    environment = make_environment(task)
    run = run_episode(task, environment, RandomPolicy(environment.action_space), 0)
    assert len(run.rewards) == 300


def test_the_names_are_the_channels_or_the_environments_or_numbered():
    task = task_in("CartPole-v1")
    actual = layout_of(task, make_environment(task))
    assert actual.observation == ("obs_0", "obs_1", "obs_2", "obs_3")
    assert (actual.actions, actual.choices) == (("action_0",), (2,))
    assert actual.limits["obs_0"] == pytest.approx((-4.8, 4.8))
    assert "obs_1" not in actual.limits

    task = task_in(POINT)
    actual = layout_of(task, make_environment(task))
    assert (actual.observation, actual.units["position"]) == (("position", "target"), "m")
    assert (actual.choices, actual.limits["action_0"]) == ((0,), (-2.0, 2.0))

    channels = {
        "place": {"role": "state", "unit": "m", "limits": [-5, 5]},
        "aim": {"role": "observation", "unit": "m"},
        "push": {"role": "action", "unit": "N"},
    }
    task = task_in(POINT, channels)
    actual = layout_of(task, make_environment(task))
    assert (actual.observation, actual.actions) == (("place", "aim"), ("push",))
    assert (actual.limits["place"], actual.units["push"]) == ((-5.0, 5.0), "N")
    del channels["aim"]
    task = task_in(POINT, channels)
    with pytest.raises(BadInput, match="has 2 observation numbers, these are 1"):
        layout_of(task, make_environment(task))


def test_parts_of_a_dict_become_one_vector():
    parts = {**POINT, "arguments": {"parts": True}}
    task = task_in(parts)
    environment = make_environment(task)
    assert environment.reset(seed=0)[0].shape == (2,)
    assert layout_of(task, environment).observation == ("goal_0", "place_0")
    joint = task_in({**parts, "wrappers": [{"type": "vector_obs", "keys": ["place"]}]})
    assert make_environment(joint).observation_space.shape == (1,)


def test_parameters_are_drawn_at_each_reset_and_follow_from_its_seed():
    task = task_in(
        {**POINT, "randomize": {"gain": [0.5, 1.5]}, "variants": {"weak": {"gain": 0.1}}}
    )
    environment = make_environment(task)
    gains = []
    for seed in (1, 2, 1):
        environment.reset(seed=seed)
        gains.append(environment.unwrapped.gain)
    assert gains[0] == gains[2] != gains[1]
    assert 0.5 <= min(gains) < max(gains) <= 1.5
    weak = make_environment(task, variant="weak")
    weak.reset(seed=1)
    assert weak.unwrapped.gain == 0.1
    with pytest.raises(BadInput, match="did you mean 'weak'"):
        make_environment(task, variant="week")


def test_a_variant_may_change_settings_of_the_environment():
    task = task_in({**POINT, "variants": {"short": {"steps": 5}}})
    assert try_policy(task, Toward(), [0], variant="short").lengths == (5,)


def test_trials_tell_return_success_and_what_happened():
    actual = try_policy(task_in(POINT), Toward(), [5, 6, 7], record=1)
    assert (actual.lengths, actual.successes, actual.seeds) == ((20,) * 3, (True,) * 3, (5, 6, 7))
    # All that is lost is where the point starts, |x| <= 1, which it leaves with the first step.
    assert max(map(abs, actual.returns)) < 1e-5
    (run,) = actual.episodes
    assert run.observations["observation"].shape == (21, 2)
    assert run.actions.shape == (20, 1)
    assert np.nansum(run.step_events["pushed"]) == pytest.approx(
        abs(run.observations["observation"][0, 0]), abs=1e-5
    )
    expected = (1.0, [1.0, 1.0])
    assert (actual.document()["success"], actual.document()["success_interval"]) == expected


def test_success_of_nan_is_none():
    assert success_in({"is_success": np.nan}) is False
    assert success_in({"is_success": np.bool_(True)}) is True
    assert success_in({}) is None


def test_trials_are_the_same_for_any_number_of_processes():
    task = task_in({**POINT, "randomize": {"gain": [0.5, 1.5]}})
    alone = try_policy(task, Toward(), range(5), record=5)
    shared = try_policy(task, Toward(), range(5), record=5, workers=2)
    assert alone.returns == shared.returns
    for single, joint in zip(alone.episodes, shared.episodes, strict=True):
        assert single.seed == joint.seed
        np.testing.assert_array_equal(single.actions, joint.actions)
        np.testing.assert_equal(single.step_events, joint.step_events)


def test_an_interval_holds_the_mean_of_what_was_drawn():
    drawn = np.random.default_rng(0).normal(3.0, 1.0, 400)
    low, high = bootstrap(tuple(drawn))
    # 1.96 standard errors of 400 draws with spread 1 on each side
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert low < 3.0 < high


def test_an_episode_becomes_a_log_that_holds_its_numbers(tmp_path):
    task = task_in(POINT)
    (run,) = try_policy(task, Toward(), [1], record=1).episodes
    path = write_episode(task, run, tmp_path)
    header, first, *rest = path.read_text().splitlines()
    assert header == "time,position,target,action_0,reward"
    start = run.observations["observation"][0, 0]
    assert [float(part) for part in first.split(",")] == pytest.approx(
        [0.0, start, 0.0, -start, run.rewards[0]], abs=1e-6
    )
    assert len(rest) == 19
    assert write_episode(task, run, tmp_path) == path


def test_a_log_has_a_tasks_own_columns_and_data_sets(tmp_path):
    channels = {
        "place": {"role": "state", "unit": "m", "source": "observations/q[0]"},
        "aim": {"role": "state", "unit": "m", "source": "observations/q[1]"},
        "push": {"role": "action", "unit": "N", "source": "actions[0]"},
    }
    task = task_in(POINT, channels).model_copy()
    document = task.model_dump(mode="json", by_alias=True)
    document["ingest"] = {"format": "hdf5"}
    task = Task.model_validate(document)
    (run,) = try_policy(task, Toward(), [1], record=1).episodes
    with h5py.File(write_episode(task, run, tmp_path)) as file:
        group = file["episode_0"]
        assert np.array_equal(group["observations/q"], run.observations["observation"][:-1])
        assert np.array_equal(group["actions"], run.actions)
        assert np.array_equal(group["rewards"], run.rewards)


def test_a_wrapper_of_the_environment_behind_one_of_the_policy_is_refused():
    with pytest.raises(ValueError, match="must come before all other"):
        task_in({**POINT, "wrappers": ["frame_stack", "vector_obs"]})
