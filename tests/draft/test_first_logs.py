"""Logs as new users have them: other notations, slower columns and references."""

import numpy as np
import pytest

from kinemill.draft.builder import build, draft
from kinemill.draft.draft_check import check_draft
from kinemill.errors import BadInput
from kinemill.ingest.files import scan
from tests.conftest import load_task_in
from tests.draft.tables import table

ROWS = 400


def text_log(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("every", "is_used"), [(2, True), (10, False)])
def test_a_column_at_half_the_rate_is_a_channel_and_at_a_tenth_it_is_not(tmp_path, every, is_used):
    rows = [
        f"{k / 100},{np.sin(k / 20):.6f},{np.cos(k / 15):.6f}," + (f"{k}" if k % every == 0 else "")
        for k in range(ROWS)
    ]
    log = text_log(tmp_path / "belt.csv", "time,pos,u,current", rows)
    checked = check_draft(build("belt", log))
    assert ("current" in checked.task.channels) is is_used
    if not is_used:
        assert (
            checked.draft.left_out["current"] == "slower than 25 Hz; a lower --rate would keep it"
        )
    assert not checked.cut
    assert not checked.refused


def test_names_of_channels_state_no_other_unit_than_the_channel(tmp_path):
    angle = np.sin(0.05 * np.arange(ROWS))
    columns = {"q1_deg": np.degrees(angle), "tau1 [Nm]": np.cos(angle), "x_mm": 1e3 * angle}
    table(tmp_path / "a.csv", time=0.01 * np.arange(ROWS), **columns)
    task = load_task_in(tmp_path, draft("arm", tmp_path / "a.csv"))
    units = {name: one.unit for name, one in task.channels.items()}
    assert units == {"q1": "rad", "x_mm": "mm", "tau1": "N*m"}


def spaced(path, header, rows=ROWS):
    """A log as the recorder of a robot arm writes it: single spaces, and one constant input."""
    time = np.arange(rows) / 125.0
    q, current = np.sin(3.0 * time), np.cos(5.0 * time)
    columns = [1000.0 + time, np.sin(3.0 * time + 0.1), q, 3.0 * np.cos(3.0 * time), current]
    columns += [25.0 + 0.01 * np.arange(rows), np.zeros(rows)]
    np.savetxt(path, np.stack(columns, axis=1), fmt="%.6f", header=header, comments="")
    return path


ARM = "timestamp target_q_0 actual_q_0 actual_qd_0 actual_current_0 joint_temperatures_0 input_bits"


def test_text_that_is_no_table_is_no_log(tmp_path):
    spaced(tmp_path / "arm.txt", ARM)
    (tmp_path / "README.txt").write_text("Logs of the arm\nrecorded by hand\n")
    (tmp_path / "run.log").write_text("2024-05-01 12:00:00 started\n2024-05-01 12:00:01 done\n")
    task = check_draft(build("arm", tmp_path / "arm.txt")).task
    result = scan(task, tmp_path)
    assert [log.name for log in result.logs] == ["arm.txt"]
    assert [*result.ignored] == ["README.txt", "run.log"]


def test_a_slow_oven_gives_every_row(tmp_path):
    """One row per second of coarse temperatures, with a relay, a fan and a noisy voltage."""
    random, rows, warm = np.random.default_rng(0), list[str](), 22.0
    for second in range(3000):
        relay, fan = second // 300 % 2, 20 * (second // 700 % 4)
        warm += (40.0 * relay - (0.1 + 0.002 * fan) * (warm - 22.0)) / 200.0
        chamber = round((warm + 0.03 * random.standard_normal()) / 0.0625) * 0.0625
        volts = 230.0 + random.standard_normal()
        rows.append(f"{second},{chamber:.4f},{relay},{fan},{volts:.1f}")
    log = text_log(tmp_path / "oven.csv", "time_s,chamber_temp_C,relay,fan_percent,mains_V", rows)
    checked = check_draft(build("oven", log))
    assert [(e["outcome"], e["rows"]) for e in checked.entries] == [("episodes", 3000)]
    channels = checked.task.channels
    assert {name: (one.role, one.unit) for name, one in channels.items()} == {
        "chamber_temp_c": ("state", "degC"),
        "relay": ("action", "1"),
        "fan_percent": ("action", "percent"),
        "mains_v": ("state", "1"),
    }


@pytest.mark.parametrize(
    ("measured", "reference"), [("qm", "qg"), ("q", "q_d"), ("state.q[0]", "state.q_d[0]")]
)
def test_what_a_measured_position_follows_is_a_reference(tmp_path, measured, reference):
    seconds = 0.01 * np.arange(ROWS)
    goal = np.sin(seconds)
    columns = {reference: goal, measured: np.sin(seconds - 0.05), "vir": np.cos(7.0 * seconds)}
    draft = build("drive", table(tmp_path / "drive.csv", time=seconds, **columns))
    roles = {column.guess.name: column.role for column in draft.columns}
    assert roles == {measured: "state", "vir": "action"}
    assert "a reference of the controller" in draft.left_out[reference]


def test_a_clock_with_too_few_digits_is_named_with_its_rate(tmp_path):
    seconds = 0.135 * np.arange(ROWS)
    rounded = [float(f"{second:.1e}") for second in seconds]
    path = table(tmp_path / "ship.csv", column_1=rounded, heading=np.sin(seconds))
    with pytest.raises(BadInput, match=r"column_1 never falls.*--rate 7\.4"):
        build("ship", path)


def test_a_log_without_the_only_state_is_not_used(tmp_path):
    seconds = 0.05 * np.arange(ROWS)
    for name in ("a", "b", "c"):
        own = {} if name == "c" else {"position": np.sin(seconds)}
        table(tmp_path / f"{name}.csv", time=seconds, voltage=np.cos(seconds), **own)
    drafted = build("odd", tmp_path)
    assert [table.path.name for table in drafted.tables] == ["a.csv", "b.csv"]
    assert "c.csv" in drafted.unused
