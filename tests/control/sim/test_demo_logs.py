"""The shipped task takes the demo's logs: what is broken goes, the rest is split."""

import pytest

from kinemill.control.sim import write_logs
from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.ingest import stage as ingest
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.validate import stage as validate


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Return (ingest's report, validate's summary, the packed dataset) of the demo's logs."""
    home, task = Home(tmp_path_factory.mktemp("home")), load_task("cart_pole")
    write_logs(home.logs(task.name), episodes=8)
    report = ingest.run(task, home, home.logs(task.name))
    episodes = validate.run(task, home, report.artifact.ref)
    dataset = dataset_stage.run(task, home, episodes.ref)
    return report, episodes.summary, load_dataset(home, dataset.ref)


@pytest.mark.ci
def test_every_log_but_the_copy_is_a_recording_and_the_cut_line_is_gone(demo):
    report, _, _ = demo
    assert report.artifact.summary["recordings"] == 8 + 4
    assert report.artifact.summary["dropped_rows"] == 1
    cached = [entry["file"] for entry in report.files if entry["outcome"] == "known"]
    assert cached == ["run-0000_copy.csv"]


def test_the_nan_stretch_and_the_stuck_encoder_are_cut_out_and_nothing_else(demo):
    _, summary, _ = demo
    # A tenth of 15 s is 75 steps of 0.02 s; give or take one where the stretch meets the grid.
    assert summary["dropped"].keys() == {"nonfinite", "stuck"}
    assert summary["dropped"]["nonfinite"] == pytest.approx(75, abs=2)
    assert summary["dropped"]["stuck"] == pytest.approx(75, abs=2)
    assert summary["quarantined"] == 0
    assert all(check["passed"] for check in summary["checks"] if check["blocking"])


def test_three_broken_logs_give_two_episodes_each_all_others_one(demo):
    _, summary, dataset = demo
    assert summary["accepted"] == len(dataset.episodes) == 12 + 3
    names = [episode.name for episode in dataset.episodes]
    expected = ["broken-nan-stretch.csv", "broken-stuck-encoder.csv", "broken-time-reversal.csv"]
    assert sorted({name for name in names if names.count(name) == 2}) == expected


def test_every_side_has_episodes_and_no_recording_is_on_two(demo):
    _, _, dataset = demo
    cells_passed = {
        split: {episode.recording for episode in dataset.of(split)}
        for split in ("train", "validation", "test")
    }
    assert all(cells_passed.values())
    assert len(set.union(*cells_passed.values())) == sum(map(len, cells_passed.values()))


def test_the_packed_velocity_is_the_derivative_of_the_packed_angle(demo):
    _, _, dataset = demo
    angle, velocity = (dataset.columns.index(f"pole_{what}") for what in ("angle", "velocity"))
    for episode in dataset.episodes:
        rows = dataset.rows(episode).astype(float)
        moved = rows[-1, angle] - rows[0, angle]
        said = (rows[1:, velocity] + rows[:-1, velocity]).sum() * dataset.dt / 2
        # Noise of 0.02 rad/s over 750 steps of 0.02 s adds up to 0.011 rad; 4 of these.
        assert said == pytest.approx(moved, abs=0.045)
