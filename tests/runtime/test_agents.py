"""Agents that act in turns: their part of the tensors of a policy, with numpy alone."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.runtime.agents import Agent, Turns
from kinemill.runtime.json_values import from_json
from kinemill.runtime.native_spaces import NativeSpace

NUMBERS = NativeSpace("numbers", (2,))
MASK = NativeSpace("mask", parts=(NativeSpace("numbers", (3,), "int8"),))
MASKED = NativeSpace("dict", keys=("action_mask", "at"), parts=(MASK, NUMBERS))
CHOICE = NativeSpace("choices", (), "int64", (3,), (1,))
PUSH = NativeSpace("numbers", (1,))
AGENTS = (
    Agent("left", "hand", MASKED, ("at",), CHOICE, (3, 5), (0, 1)),
    Agent("right", "hand", MASKED, ("at",), CHOICE, (3, 5), (0, 1)),
    Agent("foot", "foot", NUMBERS, ("observation",), PUSH, (5, 7), (1, 2)),
)


def test_agents_survive_the_metadata_of_a_file():
    stored = json.loads(json.dumps([asdict(agent) for agent in AGENTS]))
    assert tuple(from_json(Agent, item) for item in stored) == AGENTS


def test_an_agent_has_its_one_hot_its_block_and_its_mask():
    turns = Turns(AGENTS)
    assert (turns.size, turns.choices) == (7, (3, 0))
    made = turns.encode("right", {"at": [0.5, 2.0], "action_mask": np.int8([0, 1, 1])})
    assert made["observation"].tolist() == [0, 1, 0, 0.5, 2.0, 0, 0]
    assert made["action_mask"].tolist() == [0, 1, 1]
    made = turns.encode("foot", [3.0, 4.0])
    assert made["observation"].tolist() == [0, 0, 1, 0, 0, 3.0, 4.0]
    assert made["action_mask"].tolist() == [1, 0, 0]  # the idle choice is fixed


def test_an_action_is_that_of_the_agent_in_its_own_space():
    turns, action = Turns(AGENTS), np.float32([2.0, -0.5])
    assert turns.decode("left", action) == 3  # choices start at 1
    assert turns.decode("foot", action).tolist() == [-0.5]


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(BadInput, match=r"action_mask of left.*\(3,\)"):
        Turns(AGENTS).encode("left", {"at": [0, 0], "action_mask": [1, 1, 1]}, mask=[1, 1])
    with pytest.raises(BadInput, match="one of left, right, foot"):
        Turns(AGENTS).encode("arm", [0.0, 0.0])
