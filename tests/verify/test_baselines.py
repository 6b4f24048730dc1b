import numpy as np
import polars as pl
import pytest

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.verify import evaluate
from kinemill.verify.baselines import contestants, fit_linear
from tests.verify.conftest import pack, swing


def test_a_linear_system_is_found_by_the_linear_model():
    runs = {
        "train": [swing(200, seed, linear=True) for seed in range(3)],
        "test": [swing(150, 9, linear=True)],
    }
    dataset = pack(runs, angles=())
    for history in (1, 4):
        errors = evaluate(fit_linear(dataset, history, sincos=False), dataset, "test", 25)
        assert (errors.rmse < 2e-5).all()  # rows are kept in float32


def test_an_action_moves_the_very_next_state():
    """x[k+1] = u[k], white noise: exact with the right action, off by a spread with any other."""

    def echo(seed):
        noise = np.random.default_rng(seed).standard_normal(200)
        led = np.concatenate([[0.0], noise[:-1]])
        return np.stack([led, -led, noise], axis=1)

    dataset = pack({"train": [echo(1)], "test": [echo(2)]}, angles=())
    for history in (1, 3):
        errors = evaluate(fit_linear(dataset, history, sincos=False), dataset, "test", 10)
        assert (errors.by_step < 1e-6).all()


def test_a_pendulum_is_linear_in_sines_and_so_better_described(pendulum):
    errors = {
        name: evaluate(one, pendulum, "test", 25, history=4).nrmse
        for name, one in contestants(pendulum, 4).items()
    }
    assert errors["linear_sincos"] < errors["linear"] < errors["persistence"]


def test_the_linear_models_have_not_seen_the_test_split():
    train = [swing(200, seed) for seed in range(2)]
    one, other = (pack({"train": train, "test": [swing(120, seed)]}) for seed in (8, 9))
    for sincos in (False, True):
        weights = [fit_linear(each, 2, sincos=sincos).weights for each in (one, other)]
        np.testing.assert_array_equal(*weights)


def test_fitting_in_pieces_is_fitting_at_once(pendulum, monkeypatch):
    whole = fit_linear(pendulum, 2, sincos=False)
    monkeypatch.setattr("kinemill.verify.baselines.ROWS", 50)
    pieces = fit_linear(pendulum, 2, sincos=False)
    np.testing.assert_allclose(pieces.weights, whole.weights, rtol=1e-6, atol=1e-9)


def real(files, columns, dt, channels, angles) -> PackedDataset:
    """Resample logs linearly to dt, the plainest way there is."""
    episodes, rows, start = [], [], 0
    for split, path in sorted(files, key=lambda item: item[0] == "test"):
        log = pl.read_csv(path)
        time = log["time"].to_numpy() - log["time"][0]
        grid = np.arange(0.0, time[-1], dt)
        values = [np.interp(grid, time, log[name].to_numpy()) for name in columns]
        rows.append(np.stack(values, axis=1))
        stop = start + len(grid)
        episodes.append(PackedEpisode(path.stem, path.stem, path.name, split, start, stop))
        start = stop
    values, (states, actions) = np.concatenate(rows), channels
    return PackedDataset(
        task="real",
        dt=dt,
        states=states,
        actions=actions,
        units=dict.fromkeys([*states, *actions], "1"),
        angles=angles,
        episodes=episodes,
        values=values.astype(np.float32),
        mean=values.mean(axis=0),
        std=values.std(axis=0),
        delta_std=np.ones(len(states)),
    )


# Numbers of the table "What simple models reach" beside the logs. The tolerance is for resampling,
# which the table does not pin down.
def test_the_double_pendulum_baselines_are_those_of_the_data_set(shared_data):
    folder = shared_data / "double_pendulum_sysid"
    runs = [("train", n) for n in ("00", "01", "02", "04", "12")] + [("test", "03")]
    files = [(split, folder / f"A0_20220815_traj{name}.csv") for split, name in runs]
    columns = ["pos_meas1", "pos_meas2", "vel_meas1", "vel_meas2", "tau_con1", "tau_con2"]
    dataset = real(files, columns, 0.01, (columns[:4], columns[4:]), columns[:2])
    found = {
        name: evaluate(one, dataset, "test", 25, 5, history=10).rmse
        for name, one in contestants(dataset, 10).items()
    }
    assert found["persistence"] == pytest.approx([0.174, 1.07, 1.48, 5.11], rel=0.01)
    assert found["linear"] == pytest.approx([0.071, 0.314, 0.486, 2.72], rel=0.04)
    assert found["linear_sincos"] == pytest.approx([0.056, 0.134, 0.406, 1.01], rel=0.06)


def test_the_simple_pendulum_baselines_are_those_of_the_data_set(shared_data):
    folder = shared_data / "simple_pendulum"
    files = [
        ("test" if "ilqr" in path.name else "train", path)
        for path in sorted(folder.glob("*_measured.csv"))
    ]
    columns = ["position", "velocity", "torque"]
    dataset = real(files, columns, 0.02, (columns[:2], columns[2:]), [])  # not wrapped there
    found = {
        name: evaluate(one, dataset, "test", 25, 5, history=10).rmse
        for name, one in contestants(dataset, 10).items()
    }
    assert found["persistence"] == pytest.approx([1.61, 3.97], rel=0.01)
    assert found["linear"] == pytest.approx([0.711, 2.81], rel=0.1)
