import numpy as np
import polars as pl
import pytest

from kinemill.ingest.buffer_pool import LEAST, borrow_array

SHAPE = (4, LEAST)


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
