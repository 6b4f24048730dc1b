"""The picture of an episode before and after."""

from kinemill.augment import augment
from resources.pictures import before_after
from tests.augment.conftest import make_task
from tests.augment.test_stage import MIRROR, NOISE, publish


def test_copies_are_drawn_beside_their_original_once(home):
    ref = augment(make_task(NOISE, MIRROR), home, publish(home)[0]).ref
    path = before_after(home, "arm", ref)
    assert path.read_bytes()[:4] == b"\x89PNG"
    stamp = path.stat().st_mtime_ns
    assert before_after(home, "arm", ref) == path
    assert path.stat().st_mtime_ns == stamp


def test_without_copies_there_is_nothing_to_draw(home):
    assert before_after(home, "arm", augment(make_task(), home, publish(home)[0]).ref) is None
