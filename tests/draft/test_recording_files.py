"""Folders of recordings that are several files each."""

import numpy as np
import pytest

from kinemill.draft import recording_files
from kinemill.draft.joined_files import join_rows
from kinemill.draft.logs import log_files, read_tables
from kinemill.draft.recording_files import join_each, join_hint, split_recordings
from kinemill.errors import BadInput
from tests.draft.tables import table
from tests.ingest.messages import START, write_mcap

SECONDS = 0.01 * np.arange(60)
LAYOUTS = {
    "folders": "run{0}/{1}.csv",
    "nested": "monday/run{0}/{1}.csv",
    "quantity last": "run{0}_{1}.csv",
    "quantity first": "{1}-{0}.csv",
    "dates": "2026-11-0{0}_12-30_{1}.csv",
    "two words": "run{0}_joint_{1}_log.csv",
}


def _save(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    table(path, **columns)


def _pair(folder, layout, number):
    _save(folder / layout.format(number, "input"), time=SECONDS, torque=np.sin(SECONDS * number))
    _save(folder / layout.format(number, "state"), time=SECONDS, angle=np.cos(SECONDS * number))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_names_show_which_files_are_of_one_recording(tmp_path, layout):
    for number in (1, 2, 3):
        _pair(tmp_path, layout, number)
    every = split_recordings(log_files(tmp_path))
    assert [len(one.paths) for one in every] == [2, 2, 2]
    assert len({one.name for one in every}) == 3
    for number, one in enumerate(every, start=1):
        assert one.paths == [tmp_path / layout.format(number, own) for own in ("input", "state")]
    with pytest.raises(BadInput, match="each of its recordings is several files") as refused:
        read_tables(tmp_path, None)
    command = f"data join {tmp_path} --each --by time --to {tmp_path.name}_joined"
    assert str(refused.value.fix).endswith(command)


def test_logs_with_the_same_columns_are_recordings(tmp_path):
    for name in ("left", "right"):
        for number in range(3):
            path = tmp_path / f"run{number}" / f"{name}.csv"
            _save(path, time=SECONDS, angle=SECONDS * number, torque=SECONDS)
    assert split_recordings(log_files(tmp_path)) == []
    assert len(read_tables(tmp_path, None).tables) == 6


def test_two_logs_with_timestamps_of_one_recording_are_joined_by_time(tmp_path):
    _save(tmp_path / "controller.csv", time=SECONDS, torque=np.sin(SECONDS))
    _save(tmp_path / "tracker.csv", time=SECONDS[::2], angle=np.cos(SECONDS[::2]))
    hint = join_hint(tmp_path, log_files(tmp_path))
    assert hint
    assert hint.endswith(f"data join {tmp_path} --by time --to {tmp_path.name}_joined.csv")


def test_files_that_are_still_written_are_not_joined(tmp_path, monkeypatch):
    for number in (1, 2):
        _pair(tmp_path / "runs", LAYOUTS["folders"], number)
    late = tmp_path / "runs" / "run2" / "state.csv"

    def wait(stats, _):
        return [], [stat for stat in stats if stat.path == late]

    monkeypatch.setattr(recording_files, "wait_for_settled", wait)
    paths, target = log_files(tmp_path / "runs"), tmp_path / "joined"
    results = list(join_each(tmp_path / "runs", paths, target, join_rows))
    assert [bool(result["problem"]) for result in results] == [False, True]
    assert f"{late}: is still written" in results[1]["problem"]
    assert [path.name for path in target.iterdir()] == ["run1.csv"]


def test_logs_of_topics_are_no_parts_of_a_recording(tmp_path):
    for name, topic in (("drive", "/wheels"), ("arm", "/joints")):
        messages = [(topic, START + at, {"position": [0.1 * at], "at": at}) for at in range(30)]
        write_mcap(tmp_path / f"{name}.mcap", messages)
    assert join_hint(tmp_path, log_files(tmp_path)) is None
    with pytest.raises(BadInput, match="topics with their own timestamps"):
        join_rows(log_files(tmp_path))


def test_arrays_next_to_their_times_are_joined_by_row(tmp_path):
    for number in range(3):
        for name, values in {"qpos": np.sin(SECONDS), "ctrl": SECONDS**2, "time": SECONDS}.items():
            path = tmp_path / f"episode{number}" / f"{name}.npy"
            path.parent.mkdir(exist_ok=True)
            np.save(path, values if name == "time" else np.column_stack([values, values + number]))
    with pytest.raises(BadInput, match="each of its recordings is several files"):
        read_tables(tmp_path, None)


def test_unnamed_columns_in_files_of_several_quantities_are_no_recordings(tmp_path):
    for name in ("x0", "vx0", "rpm0-0", "rpm1-0"):
        rows = np.column_stack([SECONDS, np.sin(SECONDS * len(name))])
        np.savetxt(tmp_path / f"{name}.csv", rows, delimiter=",")
    with pytest.raises(BadInput, match="each of its recordings is several files"):
        read_tables(tmp_path, None)
    joined = join_rows(log_files(tmp_path)).frame
    assert joined.columns == ["rpm0_0_1", "rpm0_0_2", "rpm1_0", "vx0", "x0"]  # the time once
    for number, path in enumerate(log_files(tmp_path)):
        path.rename(tmp_path / f"run{number}.csv")
    assert len(read_tables(tmp_path, None).tables) == 4
