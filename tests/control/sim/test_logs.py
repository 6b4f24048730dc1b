"""Logs of the simulated cart-pole: the same bytes for ever, good ones and broken ones."""

import numpy as np
import polars as pl
import pytest

from kinemill.control.sim import write_logs
from kinemill.control.sim.__main__ import main
from kinemill.control.sim._table import csv
from kinemill.errors import BadInput

BROKEN = [
    "broken-nan-stretch.csv",
    "broken-stuck-encoder.csv",
    "broken-time-reversal.csv",
    "broken-truncated.csv",
]
SECONDS = 3.0


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    write_logs(folder, episodes=3, seconds=SECONDS, workers=1)
    return folder


def test_a_folder_holds_good_and_broken_logs_and_nothing_else(folder):
    assert list(contents(folder)) == [
        *BROKEN,
        "run-0000.csv",
        "run-0000_copy.csv",  # after its original: the first seen gives the recording its name
        "run-0001.csv",
        "run-0002.csv",
    ]


def test_any_number_of_workers_writes_the_same_bytes(folder, tmp_path):
    write_logs(tmp_path, episodes=3, seconds=SECONDS, workers=4)
    assert contents(tmp_path) == contents(folder)


def test_more_episodes_add_files_and_change_none(folder, tmp_path):
    write_logs(tmp_path, episodes=4, seconds=SECONDS)
    more = contents(tmp_path)
    assert more.pop("run-0003.csv")
    assert more == contents(folder)


def test_another_seed_writes_other_logs(folder, tmp_path):
    write_logs(tmp_path, episodes=3, seconds=SECONDS, seed=1)
    changed, plain = contents(tmp_path), contents(folder)
    assert not any(changed[name] == plain[name] for name in plain)


def test_writing_the_same_logs_again_touches_nothing(folder):
    previous = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_logs(folder, episodes=3, seconds=SECONDS)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == previous


def test_logs_have_the_columns_of_the_convention(folder):
    log = pl.read_csv(folder / "run-0001.csv")
    assert log.columns == [
        "timestamp", "qpos_cart", "qpos_pole", "qvel_cart", "qvel_pole", "ctrl_cart",
    ]  # fmt: skip
    assert log.height == SECONDS * 100
    assert abs(log["timestamp"][0]) < 1e-3  # s from the start
    assert log["timestamp"][-1] == pytest.approx(SECONDS, abs=0.05)


def test_the_nan_stretch_is_nan_in_every_measurement_for_a_tenth_of_the_log(folder):
    log = pl.read_csv(folder / "broken-nan-stretch.csv")
    for name in log.columns:
        lost = log[name].is_nan().to_numpy()
        assert lost.sum() == (30 if name.startswith("q") else 0)
    assert np.ptp(np.flatnonzero(lost := log["qpos_pole"].is_nan().to_numpy())) == lost.sum() - 1


def test_the_stuck_encoder_keeps_one_value_while_its_velocity_goes_on(folder):
    log = pl.read_csv(folder / "broken-stuck-encoder.csv")
    position, velocity = log["qpos_pole"].to_numpy(), log["qvel_pole"].to_numpy()
    edges = np.flatnonzero(np.diff(position) != 0)
    longest = np.argmax(np.diff(edges))
    stuck = slice(edges[longest] + 1, edges[longest + 1] + 1)
    assert stuck.stop - stuck.start >= 30
    assert np.ptp(np.cumsum(velocity[stuck]) * 0.01) > 0.3  # rad that it truly turned


def test_the_clock_goes_back_once_by_half_a_second(folder):
    gaps = np.diff(pl.read_csv(folder / "broken-time-reversal.csv")["timestamp"].to_numpy())
    assert (gaps < 0).sum() == 1
    assert gaps.min() == pytest.approx(0.01 - 0.5, abs=0.002)


def test_the_truncated_line_still_reads_as_a_number_but_a_wrong_one(folder):
    content = (folder / "broken-truncated.csv").read_text()
    last = content.splitlines()[-1]
    assert not content.endswith("\n")
    assert last.count(",") == 5
    assert len(last.split(",")[-1].split(".")[1]) == 3  # of 7 decimals
    assert np.isfinite(float(last.split(",")[-1]))


def test_a_csv_keeps_a_tenth_of_a_microradian():
    assert csv({"t": np.array([0.0, 1.5]), "q": np.array([np.nan, -1.23456789])}) == (
        "t,q\n0.0000000,nan\n1.5000000,-1.2345679\n"
    )


@pytest.mark.parametrize(
    "wrong", [{"episodes": 0}, {"seconds": 0.5}, {"seed": -1}, {"system": "cart_pol"}]
)
def test_an_impossible_order_is_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(BadInput):
        write_logs(tmp_path / "logs", **wrong)
    assert not (tmp_path / "logs").exists()


def test_the_command_writes_logs_and_says_where(tmp_path, capsys):
    code = main(["cart_pole", "--to", str(tmp_path), "--episodes", "1", "--seconds", "1"])
    assert (code, len(list(tmp_path.iterdir()))) == (0, 1 + len(BROKEN) + 1)
    assert f"6 logs in {tmp_path}" in capsys.readouterr().out
    assert main(["cart_pol", "--to", str(tmp_path)]) == 2
    assert "did you mean 'cart_pole'" in capsys.readouterr().err


def test_without_noise_and_broken_logs_there_is_the_truth_alone(tmp_path):
    arguments = ["cart_pole", "--to", str(tmp_path), "--episodes", "1", "--seconds", "2"]
    assert main([*arguments, "--noise", "off", "--broken", "off"]) == 0
    (path,) = tmp_path.iterdir()
    log = pl.read_csv(path)
    np.testing.assert_allclose(log["timestamp"], np.arange(200) * 0.01, atol=1e-7)
    # Angle and rate agree to second order: (h²/6) of the rate's second derivative, some 300 rad/s³.
    middle = (log["qvel_pole"][1:] + log["qvel_pole"][:-1]) / 2
    np.testing.assert_allclose(np.diff(log["qpos_pole"]) / 0.01, middle, atol=0.01)
