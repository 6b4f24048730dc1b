"""Every set of real logs through a task of its own: counts of files, parts, rows, and quarantine.

What the README of the data says is wrong with them is in `tests/validate/test_known_defects.py`.
"""

import numpy as np
import polars as pl
import pytest

from benchmarks.formats import SETS, task_of
from kinemill.ingest import ingest, load_recordings
from kinemill.ingest.rows import read_rows
from kinemill.spec import load_task

# Of the 13 runs of the double pendulum one is a resting noise
# record with two rows at time 0.0; one pendubot run has a row alone before a gap; the flight
# controller logs a stale record, and topics that begin before others.
COUNTS = [  # files, parts or episodes, rows, dropped rows: of each set in `SETS`
    (6, 6, 18_340, 0),
    (13, 13, 51_961, 1),
    (4, 4, 19_939, 0),
    (5, 5, 14_005, 1),
    (12, 12, 3_960, 0),
    (1, 1, 131_072, 0),
    (1, 2, 2_048, 0),
    (1, 2, 2_048, 0),
    (20, 20, 7_064, 0),
    (1, 1, 4_738, 270),
    (1, 1, 387, 0),
    (1, 1, 40_960, 0),
    (13, 13, 6_600, 0),
]


@pytest.mark.parametrize(("chosen", "counts"), list(zip(SETS, COUNTS, strict=True)))
def test_a_set_is_read_whole_by_its_task(home, shared_data, chosen, counts):
    folder, task, changed = chosen
    summary = ingest(task_of(task, changed), home, shared_data / folder).outcome.summary
    names = ("recordings", "tracks", "rows", "dropped_rows")
    assert tuple(summary[name] for name in names) == counts
    assert summary["quarantined"] == 0


def test_no_set_is_left_out(shared_data):
    folders = {path.name for path in shared_data.iterdir() if path.is_dir()}
    assert {folder for folder, _, _ in SETS} == folders


def test_silverbox_has_a_row_every_16384th_of_10_megahertz(request, home, shared_data):
    task = load_task(request.config.rootpath / "tests" / "tasks" / "silverbox.yaml")
    (recording,) = load_recordings(home, ingest(task, home, shared_data / "silverbox").outcome.ref)
    track = read_rows(recording.folder / recording.summary["tracks"][0]["file"])
    raw = pl.read_csv(shared_data / "silverbox" / "SNLS80mV.csv")
    assert track["output"].to_list() == raw["V2"].drop_nulls().to_list()  # a blank line at the end
    assert track["time_s"][-1] == pytest.approx(131_071 * 16_384 / 1e7, rel=1e-12)


def test_the_run_that_stopped_after_a_second_begins_with_a_gap(request, home, shared_data):
    task = load_task(request.config.rootpath / "tests" / "tasks" / "pendubot.yaml")
    report = ingest(task, home, shared_data / "pendubot_400hz")
    said = {entry["file"]: entry["reasons"] for entry in report.files if entry["reasons"]}
    assert list(said) == ["sac_exp01.csv"]
    times = pl.read_csv(shared_data / "pendubot_400hz" / "sac_exp01.csv")["time"].to_numpy()
    assert np.flatnonzero(np.diff(times) > 5 * task.dt).tolist() == [0]
    assert [item["check"] for item in said["sac_exp01.csv"]] == ["gap", "too_short"]
    assert said["sac_exp01.csv"][0]["where"] == "0-0.0131395 s"
