"""Result of a track with faults, and the checks charged with dropped rows."""

import numpy as np
import pytest

from kinemill.errors import TaskError
from kinemill.task import load_task
from kinemill.validate.apply_checks import apply_checks_to_track


def damaged(swing):
    """NaN in rows 300 to 310, a torque over its limit in row 600 and in row 605."""
    values = swing()
    values["angle"][300:310] = np.nan
    values["torque"][[600, 605]] = 9.0
    return values


@pytest.mark.parametrize(
    ("rule", "pieces", "dropped"),
    [
        # rows 601 to 604 are sound, but no window fits into four rows
        (
            "split",
            [(0, 300), (310, 600), (606, 1000)],
            {"nonfinite": 10, "limits": 2, "min_steps": 4},
        ),
        ("cut", [(0, 300)], {"nonfinite": 698, "limits": 2}),
        ("quarantine", [], {"nonfinite": 998, "limits": 2}),
    ],
)
def test_the_rule_says_what_is_kept_of_a_damaged_track(pendulum, swing, rule, pieces, dropped):
    verdict = apply_checks_to_track(damaged(swing), pendulum(on_fault=rule))
    assert verdict.pieces == pieces
    assert verdict.dropped == dropped
    if rule != "split":
        assert [item.check for item in verdict.findings] == ["nonfinite", "limits", "limits"]


def test_a_wrong_velocity_condemns_the_whole_track_even_in_pieces(pendulum, swing):
    values = damaged(swing)
    values["velocity"] *= -1.0
    verdict = apply_checks_to_track(values, pendulum())
    assert verdict.pieces == []
    assert verdict.dropped == {"nonfinite": 10, "limits": 2, "velocity": 988}


def test_a_spike_cut_out_does_not_condemn_the_velocity(pendulum, swing):
    values = swing()
    values["angle"][400:403] += 500.0
    verdict = apply_checks_to_track(values, pendulum(max_jump={"angle": 0.3}))
    assert [finding.check for finding in verdict.findings] == ["max_jump", "max_jump", "min_steps"]
    assert verdict.pieces == [(0, 399), (404, 1000)]


def test_nan_is_found_even_where_every_check_is_blind_to_it(pendulum, swing):
    values = swing()
    values["velocity"][:] = np.nan
    verdict = apply_checks_to_track(values, pendulum())
    assert verdict.pieces == []
    assert verdict.dropped == {"nonfinite": 1000}


@pytest.mark.parametrize("rows", [1, 19])
def test_a_track_shorter_than_min_steps_is_dropped_with_a_reason(pendulum, swing, rows):
    verdict = apply_checks_to_track(swing(rows), pendulum(min_steps=20))
    (finding,) = verdict.findings
    assert (finding.check, verdict.pieces) == ("min_steps", [])
    assert verdict.dropped == {"min_steps": rows}
    assert finding.fault.expected == "at least 20 rows"


def over_limits(swing):
    """A torque over its limit in row 600, and a spike of 8 rad/s in row 300."""
    values = swing()
    values["velocity"][300] += 8.0
    values["torque"][600] = 9.0
    return values


@pytest.mark.parametrize(
    ("rule", "pieces", "dropped"),
    [
        ("warn", [(0, 300), (301, 1000)], {"spike": 1}),
        ("split", [(0, 300), (301, 600), (601, 1000)], {"limits": 1, "spike": 1}),
        ("cut", [(0, 300), (301, 600)], {"limits": 400, "spike": 1}),
        ("quarantine", [], {"limits": 999, "spike": 1}),
        ("repair", [(0, 300), (301, 600), (601, 1000)], {"limits": 1, "spike": 1}),
    ],
)
def test_a_check_decides_about_what_it_finds_and_about_nothing_else(
    pendulum, swing, rule, pieces, dropped
):
    verdict = apply_checks_to_track(over_limits(swing), pendulum(limits={"on_fault": rule}))
    assert [finding.check for finding in verdict.findings] == ["limits", "spike"]
    assert verdict.pieces == pieces
    assert verdict.dropped == dropped


def test_a_warning_says_that_it_is_one(pendulum, swing):
    verdict = apply_checks_to_track(over_limits(swing), pendulum(limits={"on_fault": "warn"}))
    assert verdict.findings[0].message == "9 N*m; a warning"
    assert verdict.findings[1].message == verdict.findings[1].fault.actual


def test_a_check_says_how_many_rows_are_repaired(pendulum, swing):
    values = swing()
    values["velocity"][300:302] += 8.0
    short = pendulum(spike={"on_fault": "repair", "repair_rows": 1})
    assert apply_checks_to_track(values, short).pieces == [(0, 300), (302, 1000)]
    verdict = apply_checks_to_track(values, pendulum(spike={"on_fault": "repair"}))
    assert verdict.pieces == [(0, 1000)]
    assert verdict.findings[0].message.endswith("; interpolated")
    assert verdict.repaired["velocity"][300] == pytest.approx(4.5 * np.cos(9.0), abs=0.05)


def test_bounds_of_jumps_stand_beside_what_is_done_about_them(pendulum):
    task = pendulum(max_jump={"angle": 0.3, "on_fault": "warn"})
    assert task.validation.max_jump.bounds == {"angle": 0.3}
    assert task.validation.max_jump.on_fault == "warn"
    assert task.part("validate")["validate"]["max_jump"] == {"angle": 0.3, "on_fault": "warn"}


def test_an_unknown_rule_is_reported_at_its_line_with_those_there_are(tmp_path):
    path = tmp_path / "swing.yaml"
    path.write_text(
        "task: swing\ndt: 0.01\nchannels: {angle: {role: state, unit: rad}}\n"
        "validate:\n  limits: {on_fault: ignore}\n"
        "learn: {type: dynamics, model: {type: mlp}}\n"
    )
    with pytest.raises(TaskError, match=rf"{path}:5: validate\.limits\.on_fault: .*'warn'"):
        load_task(path)
