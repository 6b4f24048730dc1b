"""Settings of motion tracking: the reward at zero error is the sum of its weights."""

import pytest

from kinemill.policies.motion.settings import TrackingReward, TrackingSettings
from kinemill.task.plugins import OBJECTIVES


def test_weights_add_up_to_one_so_that_rewards_are_at_most_one():
    reward = TrackingReward()
    assert reward.task + reward.imitation + reward.command_weight == pytest.approx(1.0)


def test_a_task_sets_one_weight_and_keeps_the_others():
    learn = OBJECTIVES["motion"].model_validate(
        {"type": "motion", "tracking": {"reward": {"task": 0.5}, "episode": 5.0}}
    )
    assert learn.tracking.reward == TrackingReward(task=0.5)
    assert learn.tracking.task_commands == TrackingSettings().task_commands
