import numpy as np
import polars as pl
import pytest

from kinemill.ingest.buffer_pool import LEAST, spare

SHAPE = (4, LEAST)


def place(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_nobody_refers_to_it_and_fits_what_is_less():
    first = spare(SHAPE)
    at = place(first)
    del first
    smaller = spare((2, LEAST + 5))
    assert place(smaller) == at
    assert smaller.shape == (2, LEAST + 5)


@pytest.mark.parametrize("keep", [lambda a: a, lambda a: a[2, 5:9], lambda a: pl.Series(a[1])])
def test_memory_that_somebody_refers_to_is_left_alone(keep):
    first = spare(SHAPE)
    first[...] = 3.0
    kept = keep(first)
    del first
    spare(SHAPE)[...] = 7.0
    assert (np.asarray(kept) == 3.0).all()
