import numpy as np
import polars as pl
import pytest

import kinemill.api as km
from kinemill.errors import BadInput
from tests.api.conftest import DT, logs_of


@pytest.mark.ci
def test_frames_are_simulated_as_they_are_one_by_one(in_rod_home, training):
    frames = logs_of(7, 8)
    batch = km.simulate_batch(training, frames, steps=20)
    assert len(batch) == len(frames.frames) == 2
    for name in frames.frames:
        alone = km.simulate(training, logs_of(int(name[-1])), steps=20)
        assert batch[name].frame["angle"].to_numpy() == pytest.approx(
            alone.frame["angle"].to_numpy(), abs=1e-5
        )
    errors = [one.rmse["angle"] for one in batch.values()]
    assert batch.rmse["angle"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))


def test_trajectories_of_several_lengths_start_from_states_by_name(in_rod_home, training):
    actions = {
        "short": {"torque": np.zeros(5)},
        "long": pl.DataFrame({"torque": np.full(30, 0.5)}),
        "long too": {"torque": np.full(30, -0.5)},
    }
    states = {"long": {"angle": 0.3}, "short": {"angle": -0.2, "velocity": 1.0}}
    batch = km.simulate_batch(training, actions, states=states)
    assert {name: one.shape for name, one in batch.to_numpy().items()} == {
        "short": (6, 2),
        "long": (31, 2),
        "long too": (31, 2),
    }
    assert batch.to_numpy()["short"][0] == pytest.approx([-0.2, 1.0])
    assert batch.to_numpy()["long"][0] == pytest.approx([0.3, 0.0])
    table = batch.to_polars()
    assert table.height == 6 + 31 + 31
    assert table["trajectory"].unique(maintain_order=True).to_list() == list(actions)
    assert batch["long"].seconds == pytest.approx(30 * DT)
    assert batch.rmse == {}
    assert "not set, so they start at 0: velocity" in batch.notes
    assert batch.plot("long").png().startswith(b"\x89PNG")
    assert "trajectories" in batch._repr_html_()


def test_measured_rows_stay_when_the_start_is_moved(in_rod_home, training):
    (name,) = logs_of(7).frames
    moved = km.simulate_batch(training, logs_of(7), states={name: {"angle": 0.5}}, steps=3)[name]
    simulated = km.simulate_batch(training, logs_of(7), steps=3)[name]
    assert moved.frame["angle"][0] == pytest.approx(0.5)
    assert moved.frame["angle_measured"].to_numpy() == pytest.approx(
        simulated.frame["angle_measured"].to_numpy()
    )


def test_threads_and_provider_can_be_chosen(in_rod_home, training):
    actions = {"a": {"torque": np.full(10, 0.5)}}
    one, two = (
        km.simulate_batch(training, actions, execution=km.Execution(threads)).to_numpy()["a"]
        for threads in (1, 2)
    )
    assert one == pytest.approx(two, abs=1e-5)
    with pytest.raises(BadInput, match=r"'tpu' is not available; expected one of cpu"):
        km.Execution(provider="tpu")
    with pytest.raises(BadInput, match="expected 1 or more"):
        km.Execution(threads=0)


def test_what_cannot_be_simulated_is_named(in_rod_home, training):
    with pytest.raises(BadInput, match="has no trajectory"):
        km.simulate_batch(training, {})
    actions = {"a": {"torque": np.zeros(5)}}
    with pytest.raises(BadInput, match="no trajectory 'b'"):
        km.simulate_batch(training, actions, states={"b": {"angle": 0.0}})
    with pytest.raises(BadInput, match="angel"):
        km.simulate_batch(training, actions, states={"a": {"angel": 0.0}})
