"""Loop closing: position and slope come back to their beginning, derivatives stay true."""

import numpy as np
import pytest

from kinemill.augment import Signals
from kinemill.augment.close_loop import CloseLoop
from kinemill.ingest import stage as ingest
from kinemill.task import load_task
from kinemill.validate import load_episodes
from kinemill.validate import stage as validate
from kinemill.validate.apply_checks import apply_checks_to_track
from tests.augment.conftest import make_task
from tests.conftest import ROOT

EXAMPLE = {"type": "close_loop", "channels": ["place"], "seconds": 2.0}


def test_half_a_wave_is_led_back_and_its_velocity_with_it(signals):
    time = np.arange(400) * 0.01
    values = np.zeros((400, 6), np.float32)
    values[:, 2], values[:, 3] = np.sin(time), np.cos(time)
    closed = CloseLoop(channels=["place"], seconds=1.0).vary(values, signals, None).astype(float)
    np.testing.assert_array_equal(closed[:300], values[:300])
    lap = np.concatenate([closed, closed, closed])
    slope = (lap[2:, 2] - lap[:-2, 2]) / 0.02
    # Third derivatives stay below 100 m/s³, and at the seams curvature leaps by sin 4 = 0.76 m/s²:
    # 100 x 0.01² / 6 and 0.76 x 0.01 / 2.
    assert np.abs(slope - lap[1:-1, 3]).max() < 0.006
    assert abs(closed[0, 2] - closed[-1, 2]) <= np.abs(np.diff(closed[:, 2])).max()


def test_an_angle_that_went_round_closes_the_short_way(signals):
    time = np.arange(315) * 0.01
    values = np.zeros((315, 6), np.float32)
    values[:, 0], values[:, 1] = 2.0 * time, 2.0  # once round in 314.16 rows
    closed = CloseLoop(channels=["angle"], seconds=1.0).vary(values, signals, None)
    assert np.abs(closed - values)[:, 0].max() < 0.02
    assert abs(closed[-1, 0] - values[-1, 0]) < 0.02


def test_derivatives_actions_and_parts_of_rotations_are_problems():
    task = make_task()
    result = CloseLoop(channels=["speed", "torque", "plase"]).problems(task.channels)
    said = [what for _, what in result]
    assert any("did you mean 'place'?" in what for what in said)
    assert any("derivative of 'angle'" in what for what in said)
    assert any("expected a state" in what for what in said)


@pytest.fixture(scope="module")
def clips(shared_data, tmp_path_factory):
    """The validated clips of two bipeds, and their task."""
    from kinemill.store.home import Home

    task = load_task(ROOT / "tests" / "tasks" / "duck_motion.yaml")
    home = Home(tmp_path_factory.mktemp("home"))
    report = ingest.run(task, home, shared_data / "awd_motion")
    return task, load_episodes(home, validate.run(task, home, report.artifact.ref).ref)


TRUNK = ["trunk_x", "trunk_y", "trunk_z", "trunk_w"]


def test_real_clips_close_within_their_largest_step_and_pass_the_checks(clips):
    task, episodes = clips
    joints = [name for name in task.states if task.channels[name].kind == "angle"]
    signals = Signals(task.columns, task.channels, task.dt)
    plugin = CloseLoop(channels=[*joints, *TRUNK])
    assert plugin.problems(task.channels) == []
    open_before, longest = 0, 0.0
    assert len(episodes) >= 13
    for episode in episodes:
        values = episode.read().select(task.columns).to_numpy().astype(np.float32)
        closed = plugin.vary(values, signals, np.random.default_rng(0))
        for name in joints:
            x, original = (
                rows[:, signals.where([name])[0]].astype(float) for rows in (closed, values)
            )
            step = np.abs(np.diff(x)).max()
            assert abs(x[0] - x[-1]) <= step, (episode.name, name)
            gap = abs(original[0] - original[-1]) / np.abs(np.diff(original)).max()
            open_before, longest = open_before + (gap > 1.0), max(longest, gap)
        length = np.linalg.norm(closed[:, signals.where(TRUNK)].astype(float), axis=1)
        np.testing.assert_allclose(length, 1.0, atol=1e-6)
        columns = {name: closed[:, at].astype(float) for at, name in enumerate(task.columns)}
        result = [item.check for item in apply_checks_to_track(columns, task).findings]
        assert result == [], episode.name
    assert open_before >= 13  # each clip has a joint that jumped at its seam, the worst
    assert longest > 3.0  # times its largest step inside
