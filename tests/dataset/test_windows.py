"""Sequences for policies: inside one episode, padded at its ends, and marked where padded."""

from dataclasses import replace

import numpy as np
import pytest

from kinemill.dataset.windows import make_sequences
from kinemill.errors import BadInput
from tests.dataset.conftest import spin, version_of


@pytest.fixture
def dataset(home):
    """Training episodes a.csv and b.csv of 30 and 25 rows; torque counts rows from 0."""
    logs = [spin("a.csv", rows=30), spin("b.csv", speed=2.0, rows=25)]
    logs += [spin("val.csv"), spin("test.csv")]
    return version_of(home, logs)


def test_the_present_is_the_last_known_row_and_its_action_the_first_ahead(dataset):
    sequences = make_sequences(dataset, "train", history=3, seq_len=4)
    assert len(sequences) == 30 + 25
    first = dataset.of("train")[0]
    states, actions = sequences.read(dataset, np.array([10]))
    assert actions[0, :, 0].tolist() == [10, 11, 12, 13]
    rows = dataset.values[first.start + 8 : first.start + 11, :2]
    assert np.array_equal(states[0], rows)
    assert sequences.observed_mask[10].all()
    assert sequences.action_mask[10].all()


def test_what_lies_beyond_the_ends_of_an_episode_is_its_nearest_row_and_masked(dataset):
    sequences = make_sequences(dataset, "train", history=3, seq_len=4)
    first = dataset.of("train")[0]
    begin, end = 1, first.rows - 2
    _, actions = sequences.read(dataset, np.array([begin, end]))
    last = first.rows - 1
    assert actions[1, :, 0].tolist() == [last - 1, last, last, last]
    assert sequences.action_mask[end].tolist() == [True, True, False, False]
    assert sequences.observed_mask[begin].tolist() == [False, True, True]
    assert sequences.observed[begin].tolist() == [first.start, first.start, first.start + 1]


def test_no_sequence_reaches_into_another_episode(dataset):
    sequences = make_sequences(dataset, "train", history=7, seq_len=60)
    owner = np.concatenate([np.full(one.rows, k) for k, one in enumerate(dataset.of("train"))])
    assert (owner[sequences.observed] == owner[sequences.observed[:, -1:]]).all()
    assert (owner[sequences.actions] == owner[sequences.observed[:, -1:]]).all()
    assert sequences.action_mask.sum() == sum(n * (n + 1) // 2 for n in (30, 25))


def test_a_stride_leaves_rows_out_but_not_the_last(dataset):
    sequences = make_sequences(dataset, "train", seq_len=2, stride=10)
    starts = [one.start for one in dataset.of("train")]
    sizes = [one.rows for one in dataset.of("train")]
    presents = [
        start + row
        for start, size in zip(starts, sizes, strict=True)
        for row in (*range(0, size, 10), size - 1)
    ]
    assert sequences.observed[:, 0].tolist() == presents


def test_weights_are_those_of_the_episodes_whatever_the_stride(dataset):
    heavy = [
        replace(episode, weight=3.0 if episode.name == "a.csv" else 1.0)
        for episode in dataset.episodes
    ]
    dataset = replace(dataset, episodes=heavy)
    for stride in (1, 7):
        sequences = make_sequences(dataset, "train", seq_len=2, stride=stride)
        own = np.isin(
            sequences.observed[:, 0],
            np.concatenate(
                [np.arange(one.start, one.stop) for one in heavy if one.name == "a.csv"]
            ),
        )
        share = sequences.weights[own].sum() / sequences.weights.sum()
        assert share == pytest.approx(90 / (90 + 25))
        assert sequences.weights.mean() == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [{"history": 0}, {"seq_len": 0}, {"stride": 0}])
def test_lengths_under_one_are_refused(dataset, wrong):
    with pytest.raises(BadInput, match="all >= 1"):
        make_sequences(dataset, "train", **wrong)
