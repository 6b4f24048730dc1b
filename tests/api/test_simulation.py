import numpy as np
import polars as pl
import pytest

import kinemill.api as km
from kinemill.errors import BadInput
from tests.api.conftest import DT, logs_of, swing


def test_a_simulation_of_a_frame_knows_its_errors(in_rod_home, training):
    simulation = km.simulate(training, logs_of(7), row=10, steps=5)
    assert (simulation.steps, simulation.seconds) == (5, pytest.approx(5 * DT))
    measured = np.radians(swing(7)["angle"][10:16].to_numpy())
    assert simulation.frame["angle_measured"].to_numpy() == pytest.approx(measured, abs=1e-5)
    off = simulation.to_numpy()[1:, 0] - measured[1:]
    assert simulation.rmse["angle"] == pytest.approx(np.sqrt(np.mean(off**2)), rel=1e-3)
    assert simulation.plot().png().startswith(b"\x89PNG")
    assert "RMSE angle, rad" in simulation._repr_html_()
    assert repr(simulation).splitlines()[1] == "  steps: 5"
    assert repr(training.simulator).splitlines()[1:] == [
        "  states: angle [rad], velocity [rad/s]",
        "  actions: torque [N*m]",
    ]
    assert repr(logs_of(7)).splitlines()[0] == "Logs: 1"


@pytest.mark.parametrize("kind", [dict, pl.DataFrame])
def test_actions_come_from_arrays_and_frames(in_rod_home, training, kind):
    actions = kind({"torque": np.full(20, 0.5)})
    simulation = km.simulate(training, actions=actions, states={"angle": 0.3})
    assert simulation.to_numpy().shape == (21, 2)
    assert simulation.to_numpy()[0] == pytest.approx([0.3, 0.0])
    assert simulation.rmse == {}
    assert simulation.notes[0] == "not set, so they start at 0: velocity"


def test_a_simulation_is_written_as_table_and_plot(in_rod_home, training, tmp_path):
    simulation = km.simulate(training, actions={"torque": np.zeros(3)})
    for name in ("a.csv", "a.parquet", "a.png"):
        simulation.write(tmp_path / name)
    assert pl.read_parquet(tmp_path / "a.parquet").equals(simulation.frame)
    with pytest.raises(BadInput, match=r"\.csv or \.parquet"):
        simulation.write(tmp_path / "a.txt")


def test_a_simulation_needs_one_source(in_rod_home, training):
    with pytest.raises(BadInput, match="neither is set"):
        km.simulate(training)
    with pytest.raises(BadInput, match="has no column 'torque'"):
        km.simulate(training, actions={"torqe": np.zeros(3)})


def test_values_beyond_limits_are_noted(in_rod_home, training):
    simulation = km.simulate(training, actions={"torque": np.zeros(3)}, states={"velocity": 50.0})
    assert "velocity is" in simulation.notes[-1]
    assert "beyond its limits of -30 to 30" in repr(simulation) + simulation.notes[-1]
    within = km.simulate(training, actions={"torque": np.zeros(3)}, states={"velocity": 1.0})
    assert not any("limits" in note for note in within.notes)
    with pytest.raises(BadInput, match=r"--steps -1: .* expected 1 to 3"):
        km.simulate(training, actions={"torque": np.zeros(3)}, steps=-1)
