"""Validation blocks lie where they, and the rest, show all that an episode does."""

import numpy as np
import pytest

from kinemill.dataset.block_selection import MOST_ROWS, most_representative
from kinemill.dataset.split import SplitContext, cut_pieces
from tests.dataset.test_split import BLOCKS, log

ROWS, SIZE = 1000, 150


def candidates(rows=ROWS, size=SIZE, step=50):
    return [[(first, first + size)] for first in range(0, rows - size + 1, step)]


def noise(rows=ROWS):
    return np.random.default_rng(0).normal(size=(rows, 1))


def test_a_limit_that_is_reached_twice_is_in_the_block_and_in_training():
    level = noise()
    level[200:230] = level[860:890] = 8.0  # a tank that overflows
    ((first, last),) = most_representative(level, candidates())
    overflows = [first <= begin and last >= begin + 30 for begin in (200, 860)]
    assert sum(overflows) == 1


def test_what_happens_once_is_left_to_training():
    level = noise()
    level[400:500] = 8.0
    ((first, last),) = most_representative(level, candidates())
    inside = np.zeros(ROWS, dtype=bool)
    inside[first:last] = True
    assert 0 < inside[400:500].sum() < 100 or not inside[400:500].any()


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e9])
def test_the_choice_does_not_depend_on_units(unit):
    ramp = np.linspace(0.0, 1.0, ROWS)[:, None] + 0.1 * noise()
    assert most_representative(unit * ramp, candidates()) == most_representative(ramp, candidates())


def test_rows_of_a_long_recording_are_thinned_out_alike():
    """A resting robot that moves in the middle alone, twice as long as all rows that count."""
    rows = 2 * MOST_ROWS
    values = 0.01 * noise(rows)
    values[rows // 2 : rows // 2 + rows // 5] += 5.0 * noise(rows // 5)
    ((first, last),) = most_representative(values, candidates(rows, rows // 10, rows // 40))
    assert first < rows // 2 + rows // 5
    assert last > rows // 2


def test_channels_without_a_change_and_episodes_without_channels_keep_the_first_candidate():
    for values in (np.zeros((ROWS, 2)), np.zeros((ROWS, 0))):
        assert most_representative(values, candidates()) == candidates()[0]


def test_blocks_of_an_episode_depend_on_its_own_values_alone():
    """A robot moves in the middle fifth of its episode alone."""
    moving = np.zeros((1000, 1))
    moving[400:600] = 5.0 * noise(200)
    episodes = [log(number, rows=1000) for number in range(20)]
    context = SplitContext(read=lambda _: moving)
    alone = [cut_pieces(BLOCKS, [one], 20, context) for one in episodes]
    assert cut_pieces(BLOCKS, episodes, 20, context) == [one for own in alone for one in own]
    for pieces in alone:
        (block,) = (piece for piece in pieces if piece.split == "validation")
        assert block.rows == 150
        assert block.first < 600
        assert block.last > 400


def test_known_blocks_are_not_chosen_again():
    def read(_):
        raise AssertionError("an unchanged episode was read")

    values = np.cumsum(noise(), axis=0)
    chosen = cut_pieces(BLOCKS, [log(0, rows=1000)], 20, SplitContext(read=lambda _: values))
    (block,) = (piece for piece in chosen if piece.split == "validation")
    known = SplitContext(read=read, blocks={log(0).id: [(block.first, block.last)]})
    assert cut_pieces(BLOCKS, [log(0, rows=1000)], 20, known) == chosen
