"""Environments of any space: what a policy gets of them, and what they get of it."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from kinemill.errors import BadInput
from kinemill.policies.environments.evaluation import RandomPolicy, masks_of, run_episode
from kinemill.policies.environments.layout import layout_of
from kinemill.policies.environments.native import (
    FlatAction,
    FlatObservation,
    MixedBox,
    standard_spaces,
)
from kinemill.policies.environments.wrappers.vector_obs import VectorObs
from tests.policies.environments.spaces import Masked, Nested, Pixels, Sampled
from tests.policies.environments.test_environments import POINT, task_in
from tests.policies.rl.test_training_loop import rl_task

POSITION = Box(-1.0, 1.0, (2,), np.float64)


@pytest.mark.parametrize(
    ("space", "names", "values"),
    [
        (Discrete(3), [f"observation_{k}" for k in range(3)], lambda x: np.eye(3)[x]),
        (Discrete(3, start=5), [f"observation_{k}" for k in range(3)], lambda x: np.eye(3)[x - 5]),
        (
            MultiDiscrete([2, 3]),
            [f"observation_{k}" for k in range(5)],
            lambda x: np.concatenate([np.eye(2)[x[0]], np.eye(3)[x[1]]]),
        ),
        (MultiBinary(4), [f"observation_{k}" for k in range(4)], lambda x: x),
        (Box(0, 9, (2, 2), np.int64), [f"observation_{k}" for k in range(4)], np.ravel),
        (
            Tuple((POSITION, Discrete(2))),
            ["0_0", "0_1", "1_0", "1_1"],
            lambda x: np.concatenate([x[0], np.eye(2)[x[1]]]),
        ),
        (
            Dict({"arm": Dict({"mode": Discrete(2), "q": POSITION})}),
            ["arm_mode_0", "arm_mode_1", "arm_q_0", "arm_q_1"],
            lambda x: np.concatenate([np.eye(2)[x["arm"]["mode"]], x["arm"]["q"]]),
        ),
    ],
)
def test_every_observation_of_numbers_and_choices_is_made_a_vector(space, names, values):
    plain = Sampled(space)
    wrapped = standard_spaces(plain)
    for seed in range(5):
        actual, _ = wrapped.reset(seed=seed)
        space.seed(seed)
        np.testing.assert_allclose(actual, values(space.sample()), atol=1e-7)
        assert wrapped.observation_space.contains(actual)
    assert list(layout_of(task_in(POINT), wrapped).observation) == names


@pytest.mark.parametrize(
    "space",
    [
        Box(-1.0, 1.0, (2,), np.float64),
        Dict({"observation": POSITION, "camera": Box(0, 255, (8, 6, 3), np.uint8)}),
        Dict({"observation": POSITION, "action_mask": Box(0, 1, (3,), np.int8)}),
        Dict({"camera": Box(0, 255, (8, 6, 3), np.uint8), "word": Box(0, 255, (9,), np.uint8)}),
    ],
)
def test_what_a_policy_can_have_is_left_as_it_is(space):
    plain = Sampled(space)
    assert standard_spaces(plain) is plain
    assert layout_of(task_in(POINT), plain).native.observation is None


def test_a_picture_that_is_all_that_is_observed_gets_a_name():
    wrapped = standard_spaces(Sampled(Box(0, 255, (8, 6, 3), np.uint8)))
    actual, _ = wrapped.reset(seed=0)
    assert actual["image"].shape == (8, 6, 3)
    layout = layout_of(task_in(POINT), wrapped)
    assert (layout.observation, dict(layout.images)) == ((), {"image": (8, 6, 3)})
    assert layout_of(task_in(POINT), standard_spaces(Pixels())).images == {"image": (40, 36, 1)}


def test_a_picture_beside_a_choice_stays():
    space = Dict({"camera": Box(0, 255, (8, 6, 3), np.uint8), "mode": Discrete(2)})
    actual, _ = VectorObs().wrap(Sampled(space), {}).reset(seed=0)
    assert actual["camera"].shape == (8, 6, 3)
    assert actual["observation"].sum() == 1.0


def test_texts_are_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="text observations are ignored: word"):
        wrapped = FlatObservation(Nested())
    assert wrapped.observation_space.shape == (10,)
    with pytest.warns(UserWarning, match="word"), pytest.raises(BadInput, match="expected numbers"):
        FlatObservation(Sampled(Dict({"word": Text(5)})))
    bytes_ = Dict({"observation": POSITION, "word": Box(0, 255, (9,), np.uint8)})
    assert layout_of(task_in(POINT), Sampled(bytes_)).texts == {"word": 9}
    assert layout_of(rl_task(), Sampled(bytes_)).texts == {}  # networks of reinforcement read none


def test_a_part_that_is_not_there_names_the_nearest_one():
    with pytest.raises(BadInput, match=r"vector_obs: spedd: is no part.*did you mean 'speed'"):
        VectorObs(keys=["spedd"]).wrap(Sampled(Dict({"speed": POSITION})), {})


@pytest.mark.parametrize(
    ("space", "flat"),
    [
        (Discrete(3, start=1), Discrete(3)),
        (MultiBinary((2, 2)), MultiDiscrete([2, 2, 2, 2])),
        (MultiDiscrete([[2, 3]]), MultiDiscrete([2, 3])),
        (Tuple((Discrete(2), MultiBinary(1))), MultiDiscrete([2, 2])),
        (Box(-1.0, 2.0, (2, 1), np.float32), Box(-1.0, 2.0, (2,), np.float32)),
        (Box(0, 3, (2,), np.int64), Box(0.0, 3.0, (2,), np.float32)),
    ],
)
def test_actions_of_any_space_are_one_vector(space, flat):
    wrapped = standard_spaces(Sampled(action=space))
    assert wrapped.action_space == flat
    wrapped.reset(seed=0)
    wrapped.action_space.seed(0)
    for _ in range(5):
        wrapped.step(wrapped.action_space.sample())  # the environment checks what it gets


def test_numbers_and_choices_at_once_keep_their_names_and_kinds():
    wrapped = FlatAction(Nested())
    assert isinstance(wrapped.action_space, MixedBox)
    layout = layout_of(task_in(POINT), standard_spaces(Nested()))
    assert layout.actions == ("gripper", "move_0", "move_1", "steps_0")
    assert layout.choices == (3, 0, 0, 0)
    assert layout.limits["steps_0"] == (0.0, 5.0)
    assert "gripper" not in layout.limits
    wrapped.action_space.seed(3)
    drawn = np.stack([wrapped.action_space.sample() for _ in range(60)])
    assert set(drawn[:, 0]) == {0.0, 1.0, 2.0}
    assert (wrapped.action_space.contains(drawn[0]), len(set(drawn[:, 1]))) == (True, 60)


def test_masks_in_parts_allow_random_choices_of_each_part():
    environment = standard_spaces(Masked())
    policy = RandomPolicy(environment.action_space)
    run_episode(task_in(POINT), environment, policy, seed=1)  # the environment refuses forbidden
    assert layout_of(task_in(POINT), environment).mask == 7
    assert [len(part) for part in masks_of(environment.action_space, np.ones(7))] == [3, 2, 2]
