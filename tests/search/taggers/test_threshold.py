"""Threshold: the share of rows outside a range decides."""

import numpy as np
import pytest

from kinemill.search.taggers.threshold import Threshold

SPEED = np.array([0.0, 1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"above": 2.5}, True),  # 1 of 4 rows
        ({"above": 2.5, "share": 0.25}, False),
        ({"above": 2.5, "share": 0.24}, True),
        ({"above": 3.0}, False),
        ({"below": 0.5, "above": 2.5, "share": 0.4}, True),  # 2 of 4 rows
        ({"below": 0.0}, False),
    ],
)
def test_rows_outside_the_range_count(settings, expected):
    tagger = Threshold(name="fast", channel="speed", **settings)
    episodes = [{"speed": SPEED[:1]}, {"speed": SPEED[1:]}]
    assert list(tagger.find_tags(episodes, 0.01)) == (["fast"] if expected else [])


def test_a_recording_without_an_episode_has_no_tag():
    assert Threshold(name="fast", channel="speed", above=0.0).find_tags([], 0.01) == []
