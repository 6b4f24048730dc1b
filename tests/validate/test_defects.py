"""Planted defects, a few of each kind, in simulated episodes."""

from collections import Counter

import numpy as np
import pytest

from benchmarks._planting import KINDS, simulated_episodes
from kinemill.validate.apply_checks import apply_checks_to_track


@pytest.fixture(scope="module")
def episodes():
    return simulated_episodes(seed=7, logs=8)


def findings_of(values, task):
    return [
        (item.check, item.fault.channel) for item in apply_checks_to_track(values, task).findings
    ]


def test_sound_episodes_pass(episodes):
    assert len(episodes) >= 16
    assert [(one.name, findings_of(one.values, one.task)) for one in episodes] == [
        (one.name, []) for one in episodes
    ]


def test_planted_defects_are_detected_and_named(episodes):
    planted, named, missed = Counter(), Counter(), []
    for number, (title, (make, checks)) in enumerate(KINDS.items()):
        random = np.random.default_rng([7, 1000 + number])
        for _ in range(1600):
            episode = episodes[random.integers(len(episodes))]
            fault = make(episode.values, episode.task, random)
            if fault is None:
                continue
            planted[title] += 1
            findings = findings_of(fault.values, episode.task)
            if any(check in checks and name in fault.channels for check, name in findings):
                named[title] += 1
            else:
                missed.append((title, episode.name, fault.size, findings))
            if planted[title] == 8:
                break
    assert len(KINDS) == 15
    assert planted.total() == 14 * 8  # joints with different units are not swapped
    assert named.total() >= 0.95 * planted.total(), missed
    assert all(named[title] >= 0.8 * count for title, count in planted.items()), missed
