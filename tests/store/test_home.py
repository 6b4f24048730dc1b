"""A home is its owner's alone, from the first moment on."""

import os
import stat

from kinemill.store.home import Home
from kinemill.store.locks import lock


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_is_closed_to_others(tmp_path):
    previous = os.umask(0o022)
    try:
        home = Home(tmp_path / "some" / "home")
        with lock(home, "anything"):
            assert mode(home.root) == 0o700
    finally:
        os.umask(previous)


def test_an_open_home_is_closed_when_it_is_next_used(tmp_path):
    tmp_path.chmod(0o755)
    Home.resolve(tmp_path)
    assert mode(tmp_path) == 0o700


def test_one_for_a_group_stays_with_the_group(tmp_path):
    tmp_path.chmod(0o2775)
    Home.resolve(tmp_path)
    assert mode(tmp_path) == 0o2770


def test_one_that_may_not_be_written_stays_so(tmp_path):
    tmp_path.chmod(0o555)
    Home.resolve(tmp_path)
    assert mode(tmp_path) == 0o500


def test_artifacts_are_closed(home):
    from kinemill.tracking import open_tracking

    open_tracking(home).experiment("task")
    assert mode(home.artifacts) == 0o700
    assert mode(home.root) == 0o700
