import numpy as np
import polars as pl
import pytest

from kinemill.api.dataset import make_dataset
from kinemill.api.frames import from_frames
from kinemill.errors import Blocked
from tests.api.conftest import logs_of, rod, swing


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    from kinemill.store.home import Home

    frames = {f"run{seed}": swing(seed) for seed in range(4)}
    row = pl.int_range(300)
    frames["run1"] = frames["run1"].with_columns(
        velocity=pl.when(row.is_between(100, 104)).then(None).otherwise("velocity")
    )
    frames["run2"] = frames["run2"].with_columns(velocity=pl.lit(99.0))
    logs = from_frames(frames, units={"angle": "deg"}, dt=0.02)
    task = rod().model_copy(
        update={"validation": rod().validation.model_copy(update={"max_quarantined_share": 0.5})}
    )
    return make_dataset(task, logs, home=Home(tmp_path_factory.mktemp("data")))


def test_rejected_rows_and_logs_are_reported(dataset):
    lines = {line["log"]: line for line in dataset.report.to_dicts()}
    assert set(lines) == {f"run{seed}.parquet" for seed in range(4)}
    assert lines["run0.parquet"]["check"] is None
    assert lines["run1.parquet"]["check"] == "missing"
    assert lines["run1.parquet"]["where"] == "rows 101-105"
    assert dataset.dropped["limits"] == 300
    assert dataset.dropped["nonfinite"] == 5
    assert [one.name for one in dataset.quarantine] == ["run2.parquet"]
    quarantined = dataset.report.filter(outcome="quarantined")
    assert quarantined["log"].to_list() == ["run2.parquet"]
    assert quarantined["channel"].to_list() == ["velocity"]


def test_rows_are_the_same_in_polars_and_numpy(dataset):
    frame, arrays = dataset.to_polars(), dataset.to_numpy()
    assert frame.height == dataset.rows() == 3 * 300 - 5
    assert set(frame["split"]) == {"train", "validation", "test"}
    for episode, rows in arrays.items():
        own = frame.filter(episode=episode).select(dataset.columns).to_numpy()
        assert np.array_equal(own, rows)
    train = dataset.to_polars("train")
    assert (
        train.height == dataset.rows("train") == sum(map(len, dataset.to_numpy("train").values()))
    )
    assert dataset.units == {"angle": "rad", "velocity": "rad/s", "torque": "N*m"}
    assert "1 quarantined" in repr(dataset)


def test_a_dataset_of_frames_has_no_rows_of_earlier_frames(home):
    first = make_dataset(rod(), logs_of(0, 1, 2), home=home)
    second = make_dataset(rod(), logs_of(1, 2, 3), home=home)
    again = make_dataset(rod(), logs_of(0, 1, 2), home=home)
    assert first.rows() == second.rows() == 900
    assert set(second.to_polars()["recording"]) == {f"run{seed}.parquet" for seed in (1, 2, 3)}
    assert again.ref == first.ref


def test_nothing_accepted_blocks(home):
    wild = from_frames({"run": swing(0).with_columns(velocity=pl.lit(99.0))}, dt=0.02)
    with pytest.raises(Blocked, match=r"no rows of these logs were accepted: run\.parquet: limits"):
        make_dataset(rod(), wild, home=home)
