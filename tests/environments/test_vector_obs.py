"""`vector_obs`: any observation of numbers and choices becomes one vector."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from kinemill.environments.layout import layout_of
from kinemill.environments.wrappers.vector_obs import VectorObs
from kinemill.errors import BadInput
from tests.environments.test_environments import POINT, task_in


class Sampled(gymnasium.Env):
    """Observes samples of a space."""

    def __init__(self, space):
        self.observation_space, self.action_space = space, Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.sample = self.observation_space.sample()
        return self.sample, {}


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
def test_every_observation_that_the_layout_refuses_is_made_a_vector(space, names, values):
    plain = Sampled(space)
    with pytest.raises(BadInput, match="vector_obs"):
        layout_of(task_in(POINT), plain)
    wrapped = VectorObs().wrap(plain, {})
    for seed in range(5):
        actual, _ = wrapped.reset(seed=seed)
        np.testing.assert_allclose(actual, values(plain.sample), atol=1e-7)
        assert wrapped.observation_space.contains(actual)
    assert list(layout_of(task_in(POINT), wrapped).observation) == names


def test_a_picture_that_is_all_that_is_observed_gets_a_name():
    picture = Box(0, 255, (8, 6, 3), np.uint8)
    with pytest.raises(BadInput, match="vector_obs"):
        layout_of(task_in(POINT), Sampled(picture))
    wrapped = VectorObs().wrap(Sampled(picture), {})
    actual, _ = wrapped.reset(seed=0)
    assert actual["image"].shape == (8, 6, 3)
    layout = layout_of(task_in(POINT), wrapped)
    assert (layout.observation, dict(layout.images)) == ((), {"image": (8, 6, 3)})


def test_a_picture_beside_a_choice_stays():
    space = Dict({"camera": Box(0, 255, (8, 6, 3), np.uint8), "mode": Discrete(2)})
    actual, _ = VectorObs().wrap(Sampled(space), {}).reset(seed=0)
    assert actual["camera"].shape == (8, 6, 3)
    assert actual["observation"].sum() == 1.0


def test_what_is_neither_numbers_nor_choices_is_refused():
    with pytest.raises(BadInput, match=r"vector_obs: word: is Text.*expected numbers or choices"):
        VectorObs().wrap(Sampled(Dict({"word": Text(5)})), {})
    with pytest.raises(BadInput, match="vector_obs: spedd: is no part with numbers"):
        VectorObs(keys=["spedd"]).wrap(Sampled(Dict({"speed": POSITION})), {})
