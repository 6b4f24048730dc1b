"""Planted defects, few of each in simulated episodes: the benchmark itself has hundreds."""

import pytest

from benchmarks._planting import KINDS
from benchmarks.defects import false_alarms, plant, simulated_episodes


@pytest.fixture(scope="module")
def episodes():
    return simulated_episodes(seed=7, logs=8)


def test_sound_episodes_pass(episodes):
    assert len(episodes) >= 16
    assert false_alarms(episodes) == []


def test_planted_defects_are_detected_and_named(episodes):
    scores = plant([], episodes, seed=7, each=8)
    assert len(scores) == len(KINDS) == 15
    planted = sum(score.planted for score in scores.values())
    assert planted == 14 * 8  # joints with different units are not swapped
    assert sum(score.named for score in scores.values()) >= 0.95 * planted
    for title, score in scores.items():
        assert score.named >= 0.8 * score.planted, (title, score.missed)
