"""The picture of an episode before and after."""

from kinemill.augment import stage as augment
from kinemill_dagster.resources.pictures import before_after
from tests.augment.conftest import make_task
from tests.augment.test_stage import MIRROR, NOISE, publish


def test_copies_are_drawn_beside_their_original_once(home):
    ref = augment.run(make_task(NOISE, MIRROR), home, publish(home)[0]).ref
    path = before_after(home, "arm", ref)
    assert path.read_bytes()[:4] == b"\x89PNG"
    stamp = path.stat().st_mtime_ns
    assert before_after(home, "arm", ref) == path
    assert path.stat().st_mtime_ns == stamp


def test_without_copies_there_is_nothing_to_draw(home):
    assert before_after(home, "arm", augment.run(make_task(), home, publish(home)[0]).ref) is None


def test_pictures_of_cameras_are_shown_before_and_after(tmp_path):
    from matplotlib.image import imread

    from kinemill.control.sim import write_dummy_logs
    from kinemill.dataset import stage as dataset_stage
    from kinemill.ingest import stage as ingest
    from kinemill.store.home import Home
    from kinemill.validate import stage as validate
    from tests.augment.test_media import COLOR, CROP, DUMMY, task_of

    home, task = Home(tmp_path / "home"), task_of(tmp_path, CROP, COLOR)
    write_dummy_logs(task, tmp_path / "logs", DUMMY)
    episodes = validate.run(task, home, ingest.run(task, home, tmp_path / "logs").artifact.ref).ref
    dataset = dataset_stage.run(task, home, episodes).ref
    path = before_after(home, "arm", augment.run(task, home, dataset).ref)
    # Two cameras add two strips of 1.6 inches, at 90 dots each, to the three channels.
    assert imread(path).shape[0] == round(90 * (1.5 * 3 + 0.6 + 2 * 1.6))
