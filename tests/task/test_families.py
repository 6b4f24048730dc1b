"""Every place that chooses a plug-in by `type` is known where files are read and overridden."""

from typing import get_args

import pytest

from kinemill.task import load_task
from kinemill.task.overrides import family_at
from kinemill.task.plugins import OBJECTIVES, Plugin

CHOICES = [
    (name, key)
    for name, objective in OBJECTIVES.items()
    for key, field in objective.model_fields.items()
    for kind in (field.annotation, *get_args(field.annotation))
    if isinstance(kind, type) and issubclass(kind, Plugin) and key != "physics"
]


@pytest.mark.parametrize(("objective", "key"), CHOICES)
def test_a_choice_of_a_way_of_learning_is_known(objective, key):
    kind, family = OBJECTIVES[objective].model_fields[key].annotation, family_at(("learn", key))
    assert family is not None
    assert all(issubclass(member, kind) for member in family.values())


def test_what_policies_choose_is_among_them():
    assert {("imitation", key) for key in ("head", "image", "text")} < set(CHOICES)
    assert {("reinforcement", key) for key in ("algorithm", "runner")} < set(CHOICES)


def test_a_way_of_learning_within_another_has_the_same_families():
    algorithm = {"learn.physics.algorithm": {"type": "ppo", "n_steps": 64}}
    task = load_task("mini_bdx", algorithm | {"learn.physics.algorithm.type": "a2c"})
    assert task.learn.physics.algorithm.type == "a2c"
    task = load_task("mini_bdx", algorithm | {"learn.physics.algorithm.type": "sac"})
    assert "dropped n_steps, which sac lacks" in task.notes[0]
