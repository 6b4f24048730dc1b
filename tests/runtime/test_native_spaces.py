"""Native spaces: conversion of observations and actions, with numpy alone."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from kinemill.errors import BadInput
from kinemill.policies.environments.native import action_space_of, space_of
from kinemill.runtime.json_values import from_json
from kinemill.runtime.native_spaces import NativeSpace, action_count, decode, encode, fits
from tests.policies.environments.spaces import Masked, Nested

OBSERVATIONS = [
    Discrete(3, start=5),
    MultiDiscrete([[2, 3], [2, 2]], start=[[1, 0], [0, 0]]),
    MultiBinary((2, 2)),
    Box(-1.0, 1.0, ()),
    Box(0, 9, (2, 2), np.int64),
    Nested.observation_space,
    Masked.observation_space,
]
ACTIONS = [
    Discrete(3, start=-1),
    MultiDiscrete([[2, 3]], start=[[1, 4]]),
    MultiBinary((2, 2)),
    Box(-1.0, 1.0, ()),
    Box(-2, 2, (2, 2), np.int16),
    Tuple((Discrete(2), Box(-1.0, 1.0, (1, 3), np.float64))),
    Nested.action_space,
]


@pytest.mark.parametrize("space", OBSERVATIONS, ids=str)
def test_a_space_survives_the_metadata_of_a_file(space):
    native = space_of(space)
    assert from_json(NativeSpace, json.loads(json.dumps(asdict(native)))) == native
    space.seed(0)
    assert fits(native, space.sample())
    assert not fits(native, "text")
    assert not fits(native, np.zeros((7, 7)))


def test_choices_are_one_number_per_value_and_numbers_stay():
    native = space_of(Nested.observation_space)
    keys = ("arm_0", "arm_1", "buttons")
    value = {
        "arm": (4, np.float32([0.1, 0.2, 0.3])),
        "buttons": np.int8([[1, 0], [0, 1]]),
        "word": "go",
    }
    actual = encode(native, keys, value)
    assert list(actual) == ["observation"]
    expected = [0, 0, 1, 0.1, 0.2, 0.3, 1, 0, 0, 1]
    np.testing.assert_allclose(actual["observation"], expected, rtol=1e-6)
    pressed = encode(native, ("buttons",), value)
    assert pressed["observation"].tolist() == [1, 0, 0, 1]


def test_a_choice_beyond_the_space_is_refused():
    native = space_of(Discrete(3, start=5))
    assert encode(native, ("observation",), 7)["observation"].tolist() == [0, 0, 1]
    for value in (4, 8):
        with pytest.raises(BadInput, match="expected choices from"):
            encode(native, ("observation",), value)


def test_masks_of_parts_are_one_row():
    native = space_of(Masked.observation_space)
    value = Masked.observation_space.sample()
    value["action_mask"] = {"door": np.int8([1, 0, 1]), "keys": np.int8([1, 1, 0, 1])}
    assert encode(native, ("mode",), value)["action_mask"].tolist() == [1, 0, 1, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((40, 36, 3), (40, 36, 3)),
        ((3, 40, 36), (40, 36, 3)),
        ((40, 36), (40, 36, 1)),
        ((4, 40, 36), (40, 36, 4)),
        ((4, 40, 36, 3), (40, 36, 12)),
        ((4, 3, 40, 36), (40, 36, 12)),
        ((7, 7, 3), (7, 7, 3)),
    ],
)
def test_images_have_their_channels_last_and_frames_are_channels(shape, expected):
    native = space_of(Box(0, 255, shape, np.uint8))
    assert (native.kind, native.image_shape) == ("image", expected)
    pixels = np.arange(np.prod(shape), dtype=np.int64).reshape(shape).astype(np.uint8)
    actual = encode(native, (), pixels)["image"]
    assert actual.shape == expected
    assert sorted(actual.ravel()) == sorted(pixels.ravel())


def test_the_second_frame_of_a_stack_is_the_second_group_of_channels():
    pixels = np.zeros((4, 3, 40, 36), np.uint8)
    pixels[1, 2] = 9
    actual = encode(space_of(Box(0, 255, pixels.shape, np.uint8)), (), pixels)["image"]
    assert (actual[..., 5] == 9).all()
    assert actual.sum() == 9 * 40 * 36


@pytest.mark.parametrize("space", ACTIONS, ids=str)
def test_every_vector_within_limits_is_an_action_of_the_space(space):
    native = action_space_of(space)
    random = np.random.default_rng(0)
    for _ in range(20):
        values = random.uniform(0.0, 1.0, action_count(native)).astype(np.float32)
        action = decode(native, values)
        assert space.contains(action), action


def test_an_action_in_parts_takes_numbers_and_choices_in_order():
    action = decode(action_space_of(Nested.action_space), [2.0, -0.5, 0.25, 3.4])
    assert action["gripper"] == 1  # the third choice from -1
    assert action["move"].tolist() == [[-0.5], [0.25]]
    assert (action["steps"].tolist(), action["steps"].dtype) == ([3], np.int64)
    with pytest.raises(BadInput, match="has 3 values; expected 4"):
        decode(action_space_of(Nested.action_space), [0.0, 0.0, 0.0])


def test_a_space_without_a_fixed_size_is_refused():
    from gymnasium.spaces import Sequence

    with pytest.raises(BadInput, match=r"environment: near: is Sequence.*fixed size"):
        space_of(Dict({"near": Sequence(Discrete(3))}))
    with pytest.raises(BadInput, match=r"environment: action_say: is Text"):
        action_space_of(Dict({"say": Text(3)}))
