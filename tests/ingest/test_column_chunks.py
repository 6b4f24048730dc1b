"""Channels in pieces give, to the last bit, what they give put together."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from kinemill.ingest.channels import BLOCK
from kinemill.ingest.column_chunks import LEAST, ChunkedColumn, borrow_array
from kinemill.ingest.raw import RawLog
from kinemill.ingest.tracks import make_tracks
from kinemill.task import Source

SHAPE = (4, LEAST)
CUTS = [1, 7, 5000, 5001, 20_000, 33_333]


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=40_000)


def test_any_rows_of_pieces_are_those_of_the_whole(values):
    pieces = ChunkedColumn(np.split(values, CUTS))
    assert len(pieces) == len(values)
    assert pieces.value_range() == np.ptp(values)
    np.testing.assert_array_equal(np.asarray(pieces), values)
    edges = sorted({0, 3, *CUTS, *(cut + 1 for cut in CUTS), 39_999, 40_000})
    for start in edges:
        for stop in [stop for stop in edges if stop > start]:
            np.testing.assert_array_equal(pieces[start:stop], values[start:stop])


def test_the_reach_of_pieces_with_nan_is_nan(values):
    values[5000] = np.nan
    assert np.isnan(ChunkedColumn(np.split(values, CUTS)).value_range())


@pytest.mark.parametrize("spoilt", [None, np.nan, np.inf])
@pytest.mark.parametrize("turning", [0.5, 1.2])  # the second wraps at π
@pytest.mark.parametrize("jitter", [0.0, 2e-3])
def test_a_log_in_many_chunks_makes_the_tracks_of_one_in_one(make_task, spoilt, turning, jitter):
    """Two blocks of the grid and a part, and chunks that end elsewhere."""
    rows, random = 2 * BLOCK + 500, np.random.default_rng(0)
    seconds = 0.01 * np.arange(rows) + random.uniform(0, jitter, rows)
    angle = turning * np.pi * np.sin(seconds)
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    torque = random.normal(size=rows)
    torque[7000] = torque[7000] if spoilt is None else spoilt
    columns = {"time_s": seconds, "angle": wrapped, "velocity": np.gradient(angle, 0.01)}
    whole = pl.DataFrame(columns | {"torque": torque})
    cuts = [0, *CUTS[:-1], rows]
    parts = [whole.slice(a, b - a) for a, b in pairwise(cuts)]
    sources = {name: Source(name=name) for name in ("angle", "velocity", "torque")}
    log = RawLog(whole, sources, 1.0)
    chunked = replace(log, frame=pl.concat(parts, rechunk=False))
    assert chunked.frame.n_chunks() == len(CUTS)
    task = make_task(channels__angle__kind="angle")
    one, many = (make_tracks(each, task) for each in (log, chunked))
    assert one.rows == many.rows
    assert one.reasons == many.reasons
    for frame, other in zip(one.frames, many.frames, strict=True):
        assert frame.equals(other)
        assert frame.height > 2 * BLOCK


def address_of(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_nobody_refers_to_it_and_fits_what_is_less():
    first = borrow_array(SHAPE)
    at = address_of(first)
    del first
    smaller = borrow_array((2, LEAST + 5))
    assert address_of(smaller) == at
    assert smaller.shape == (2, LEAST + 5)


@pytest.mark.parametrize("keep", [lambda a: a, lambda a: a[2, 5:9], lambda a: pl.Series(a[1])])
def test_memory_that_somebody_refers_to_is_left_alone(keep):
    first = borrow_array(SHAPE)
    first[...] = 3.0
    view = keep(first)
    del first
    borrow_array(SHAPE)[...] = 7.0
    assert (np.asarray(view) == 3.0).all()
