import numpy as np
import pandas as pd
import polars as pl
import pytest

from kinemill.api.frames import from_frames
from kinemill.errors import BadInput
from kinemill.store.home import Home
from tests.api.conftest import rod, swing


def written(logs, home: Home, task=None) -> pl.DataFrame:
    (file,) = logs.write(task or rod(), home).glob("*.parquet")
    return pl.read_parquet(file)


def test_all_kinds_of_frames_give_the_same_log(home):
    frame = swing(0)
    arrays = {name: frame[name].to_numpy() for name in frame.columns}
    structured = np.rec.fromarrays(list(arrays.values()), names=list(arrays))
    kinds = [frame, frame.to_pandas(), arrays, frame.to_numpy(), structured]
    logs = [from_frames({"run": kind}, columns=frame.columns, dt=0.02) for kind in kinds]
    folders = {log.write(rod(), home) for log in logs}
    assert len(folders) == 1
    assert written(logs[0], home)["time"][-1] == pytest.approx(299 * 0.02)


def test_units_are_converted_to_those_of_the_task(home):
    logs = from_frames({"run": swing(0)}, units={"angle": "deg", "torque": "mN*m"}, dt=0.02)
    frame = written(logs, home)
    assert frame["angle"].to_numpy() == pytest.approx(np.radians(swing(0)["angle"].to_numpy()))
    assert frame["torque"].to_numpy() == pytest.approx(swing(0)["torque"].to_numpy() / 1000)


@pytest.mark.parametrize("indexed", [False, True])
def test_timestamps_have_a_name_of_their_own(home, indexed):
    frame = swing(0).to_pandas().assign(clock=0.02 * np.arange(300))
    if indexed:
        frame = frame.set_index("clock")
    frame = written(from_frames({"run": frame}, time="clock"), home)
    assert frame["time"][:2].to_list() == [0.0, 0.02]
    assert "clock" not in frame.columns


def test_dates_are_timestamps(home):
    dates = pd.date_range("2026-01-01", periods=300, freq="20ms")
    frame = written(from_frames({"run": swing(0).to_pandas().assign(t0=dates)}, time="t0"), home)
    assert isinstance(frame.schema["time"], pl.Datetime)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": {}}, "is empty"),
        ({"frames": {"a/b": swing(0)}}, "no file name"),
        ({"frames": {"a": np.zeros((3, 2))}}, r"columns=\[...\]"),
        ({"frames": {"a": np.zeros((3, 2))}, "columns": ["x"]}, r"\(3, 2\); expected \(rows, 1\)"),
        ({"frames": {"a": {"x": np.zeros(3), "y": np.zeros(4)}}}, "cannot be read"),
        ({"frames": {"a": "run.csv"}}, "is a str"),
        ({"frames": {"a": swing(0)}, "time": "tme"}, "no column 'tme'"),
        ({"frames": {"a": swing(0)}, "time": "t", "dt": 0.1}, "both set"),
        ({"frames": {"a": swing(0)}, "dt": -0.1}, "more than 0 s"),
    ],
)
def test_errors_name_the_frame_and_the_fix(arguments, message):
    with pytest.raises(BadInput, match=message):
        from_frames(**arguments)


def test_errors_of_units_name_the_column(home):
    with pytest.raises(BadInput, match=r"units: angel: is no column .* did you mean 'angle'"):
        from_frames({"a": swing(0)}, units={"angel": "deg"}).write(rod(), home)
    with pytest.raises(BadInput, match=r"units: angle: .*cannot be converted"):
        from_frames({"a": swing(0)}, units={"angle": "kg"}).write(rod(), home)
    stamped = swing(0).with_columns(time=pl.lit(0.0))
    with pytest.raises(BadInput, match="leave dt out"):
        from_frames({"a": stamped}, dt=0.1).write(rod(), home)
