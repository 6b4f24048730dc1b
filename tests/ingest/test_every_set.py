"""Every set of real logs through a task of its own: counts of files, parts, rows, and quarantine.

Defects listed in the README of the data are tested in `tests/validate/test_known_defects.py`.
"""

import numpy as np
import polars as pl
import pytest

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.draft.schema_inference import form_of
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.rows import read_rows
from kinemill.task import load_task
from kinemill.validate import stage as validate
from kinemill.validate.apply_checks import apply_checks_to_track
from tests.conftest import ROOT

DOUBLE = "examples/tasks/double_pendulum.yaml"
MAT = {"ingest.include": ["*.mat"], "ingest.rate": None}  # next to the CSV of the same rows
# Of the 13 runs of the double pendulum one is a resting noise
# record with two rows at time 0.0; one pendubot run has a row alone before a gap; the flight
# controller logs a stale record, and topics that begin before others.
SETS = [  # folder, its task, what is changed in that; files, parts, rows, dropped rows
    ("simple_pendulum", "examples/tasks/simple_pendulum.yaml", {}, (6, 6, 18_340, 0)),
    ("double_pendulum_sysid", DOUBLE, {"ingest.exclude": []}, (13, 13, 51_962, 0)),
    ("double_pendulum_c0", DOUBLE, {}, (4, 4, 19_939, 0)),
    ("pendubot_400hz", "tests/tasks/pendubot.yaml", {}, (5, 5, 14_005, 1)),
    ("acrobot_pendubot_33hz", "tests/tasks/acrobot.yaml", {}, (12, 12, 3_960, 0)),
    ("silverbox", "tests/tasks/silverbox.yaml", {}, (1, 1, 131_072, 0)),
    ("cascaded_tanks", "tests/tasks/cascaded_tanks.yaml", {}, (1, 2, 2_048, 0)),
    ("cascaded_tanks", "tests/tasks/cascaded_tanks.yaml", MAT, (1, 2, 2_048, 0)),
    ("g1_lerobot", "tests/tasks/g1.yaml", {}, (20, 20, 7_064, 0)),
    ("px4_ulog", "tests/tasks/vtol_flight.yaml", {}, (1, 1, 4_738, 270)),
    ("cartpole_sim_mcap", "tests/tasks/cart_pole_sim.yaml", {}, (1, 1, 387, 0)),
    ("bouc_wen_sim_h5", "tests/tasks/bouc_wen.yaml", {}, (1, 1, 40_960, 0)),
    ("awd_motion", "tests/tasks/duck_motion.yaml", {}, (13, 13, 6_600, 0)),
    ("buck_converter", "tests/tasks/buck_converter.yaml", {}, (2, 2, 2_000, 0)),
    ("dc_generator", "tests/tasks/dc_generator.yaml", {}, (1, 1, 500_000, 0)),
    ("rlc_sim", "tests/tasks/rlc_sim.yaml", {}, (2, 2, 20_000, 0)),
]
ROBOTS = {"awd_robots"}  # models of robots, no logs


@pytest.mark.parametrize(("folder", "path", "changed", "counts"), SETS)
def test_a_set_is_read_whole_by_its_task(home, shared_data, folder, path, changed, counts):
    task = load_task(ROOT / path, {"ingest.min_file_age": 0.0, **changed})
    summary = ingest.run(task, home, shared_data / folder).artifact.summary
    names = ("recordings", "tracks", "rows", "dropped_rows")
    assert tuple(summary[name] for name in names) == counts
    assert summary["quarantined"] == 0


TASKS = ROOT / "tests" / "tasks"


def recordings_of(task, home, folder):
    return load_recordings(home, ingest.run(task, home, folder).artifact.ref)


def test_no_set_is_left_out(shared_data):
    folders = {path.name for path in shared_data.iterdir() if path.is_dir()}
    assert {folder for folder, *_ in SETS} == folders - ROBOTS


def test_a_folder_of_robot_models_holds_no_log(shared_data):
    for folder in ROBOTS:
        files = [path for path in (shared_data / folder).rglob("*") if path.is_file()]
        assert any("<mujoco" in path.read_text() for path in files if path.suffix == ".xml")
        assert [path.name for path in files if form_of(path)] == []


def test_current_and_voltage_of_the_rlc_circuit_give_its_capacitance(home, shared_data):
    task = load_task(TASKS / "rlc_sim.yaml")
    for recording in recordings_of(task, home, shared_data / "rlc_sim"):
        rows = read_rows(recording.folder / recording.summary.tracks[0].file)
        raw = np.loadtxt(shared_data / "rlc_sim" / recording.name, delimiter=",", skiprows=1)
        assert np.array_equal(raw[:, 1], raw[:, 4])  # both columns that are named `V_C`
        assert np.array_equal(rows["capacitor_voltage"].to_numpy(), raw[:, 1])
        slope = np.gradient(raw[:, 1], task.dt)
        # i = C dv/dt; the publisher's circuit has 270 nF.
        assert (raw[:, 2] @ raw[:, 2]) / (raw[:, 2] @ slope) == pytest.approx(270e-9, rel=0.02)


def test_the_sensor_of_the_buck_converter_steps_by_a_fifth_of_a_volt(home, shared_data):
    task = load_task(TASKS / "buck_converter.yaml")
    for recording in recordings_of(task, home, shared_data / "buck_converter"):
        rows = read_rows(recording.folder / recording.summary.tracks[0].file)
        values = {name: rows[name].to_numpy() for name in task.columns}
        verdict = apply_checks_to_track(values, task)
        assert verdict.measured["quantization"]["voltage:step"] == pytest.approx(0.2, rel=1e-6)
        assert verdict.findings == []


def test_the_generator_is_sampled_at_every_500th_row(home, shared_data):
    task = load_task(TASKS / "dc_generator.yaml")
    report = ingest.run(task, home, shared_data / "dc_generator")
    episodes = validate.run(task, home, report.artifact.ref)
    dataset = load_dataset(home, dataset_stage.run(task, home, episodes.ref).ref)
    raw = np.loadtxt(shared_data / "dc_generator" / "generator.csv", delimiter=",", skiprows=1)
    assert np.array_equal(dataset.values[:, ::-1], raw[::500].astype(np.float32))
    lengths = {episode.split: episode.stop - episode.start for episode in dataset.episodes}
    assert lengths == {"train": 650, "validation": 150, "test": 200}


def test_silverbox_has_a_row_every_16384th_of_10_megahertz(home, shared_data):
    task = load_task(TASKS / "silverbox.yaml")
    (recording,) = recordings_of(task, home, shared_data / "silverbox")
    track = read_rows(recording.folder / recording.summary.tracks[0].file)
    raw = pl.read_csv(shared_data / "silverbox" / "SNLS80mV.csv")
    assert track["output"].to_list() == raw["V2"].drop_nulls().to_list()  # a blank line at the end
    assert track["time_s"][-1] == pytest.approx(131_071 * 16_384 / 1e7, rel=1e-12)


def test_the_run_that_stopped_after_a_second_begins_with_a_gap(home, shared_data):
    task = load_task(TASKS / "pendubot.yaml")
    report = ingest.run(task, home, shared_data / "pendubot_400hz")
    said = {entry["file"]: entry["reasons"] for entry in report.files if entry["reasons"]}
    assert list(said) == ["sac_exp01.csv"]
    times = pl.read_csv(shared_data / "pendubot_400hz" / "sac_exp01.csv")["time"].to_numpy()
    assert np.flatnonzero(np.diff(times) > 5 * task.dt).tolist() == [0]
    assert [item["check"] for item in said["sac_exp01.csv"]] == ["gap", "too_short"]
    assert said["sac_exp01.csv"][0]["where"] == "after row 1, 0-0.0131395 s"
