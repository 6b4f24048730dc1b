"""Addresses of models."""

import pytest

from kinemill.api.models import split_address
from kinemill.errors import BadInput


def test_an_environment_stands_for_its_drafted_task(home):
    task, which = split_address("gym:CartPole-v1:2")
    assert task.endswith("cart_pole_v1.yaml")
    assert which == ":2"
    assert split_address("gym:CartPole-v1@champion") == (task, "@champion")
    assert split_address("gym:CartPole-v1") == (task, "")


def test_an_address_without_a_task_is_refused():
    with pytest.raises(BadInput, match="is not a model; expected TASK, TASK@alias"):
        split_address("@champion")
