"""Every set of real CSV logs through a task of its own: counts, and the known defects.

The sets in other formats are in the tests of those formats; the tasks are in `tests/tasks`.
"""

import numpy as np
import polars as pl
import pytest

from kinemill.ingest import ingest, load_recordings
from kinemill.spec import load_task


@pytest.mark.parametrize(
    ("task", "folder", "recordings", "rows", "dropped"),
    [
        ("tests/tasks/silverbox.yaml", "silverbox", 1, 131_072, 0),
        ("tests/tasks/pendubot.yaml", "pendubot_400hz", 5, 14_005, 1),
        ("tests/tasks/acrobot.yaml", "acrobot_pendubot_33hz", 12, 3_960, 0),
        ("tasks/double_pendulum.yaml", "double_pendulum_c0", 4, 19_939, 0),
        ("tasks/double_pendulum.yaml", "double_pendulum_sysid", 12, 50_963, 0),
        ("tasks/simple_pendulum.yaml", "simple_pendulum", 6, 18_340, 0),
    ],
)
def test_a_set_is_read_whole_by_its_task(
    request, home, shared_data, task, folder, recordings, rows, dropped
):
    loaded = load_task(request.config.rootpath / task, {"ingest.settle": 0.0})
    assert ingest(loaded, home, shared_data / folder).outcome.summary == {
        "recordings": recordings,
        "quarantined": 0,
        "tracks": recordings,
        "rows": rows,
        "dropped_rows": dropped,
    }


def test_silverbox_has_a_row_every_16384th_of_10_megahertz(request, home, shared_data):
    task = load_task(request.config.rootpath / "tests" / "tasks" / "silverbox.yaml")
    (recording,) = load_recordings(home, ingest(task, home, shared_data / "silverbox").outcome.ref)
    track = pl.read_parquet(recording.folder / recording.summary["tracks"][0]["file"])
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
