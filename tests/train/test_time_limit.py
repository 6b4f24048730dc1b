"""Time limits: what ends, and what an inner limit may not extend."""

import time

import pytest

from kinemill.train.time_limit import OutOfTime, check_time, is_time_over, time_limit


def test_without_a_limit_nothing_ends():
    check_time()
    with time_limit(60.0):
        check_time()


def test_a_loop_ends_at_its_first_check_after_the_limit():
    def work():
        with time_limit(0.02):
            while True:
                check_time()

    began = time.monotonic()
    with pytest.raises(OutOfTime):
        work()
    assert 0.02 <= time.monotonic() - began < 2.0
    check_time()  # the limit is over with its block


def test_an_inner_limit_does_not_extend_the_outer_one():
    with time_limit(0.0), time_limit(60.0):
        time.sleep(0.001)
        assert is_time_over()
    assert not is_time_over()
