"""Result of a track with faults, and the checks charged with dropped rows."""

import numpy as np
import pytest

from kinemill.validate.apply_checks import apply_checks_to_track


def damaged(swing):
    """NaN in rows 300 to 310, a torque over its limit in row 600 and in row 605."""
    values = swing()
    values["angle"][300:310] = np.nan
    values["torque"][[600, 605]] = 9.0
    return values


def test_split_keeps_what_is_before_and_after_each_fault(pendulum, swing):
    verdict = apply_checks_to_track(damaged(swing), pendulum(on_fault="split"))
    assert verdict.pieces == [(0, 300), (310, 600), (606, 1000)]
    # rows 601 to 604 are sound, but no window fits into four rows
    assert verdict.dropped == {"nonfinite": 10, "limits": 2, "min_steps": 4}


def test_cut_keeps_what_is_before_the_first_fault(pendulum, swing):
    verdict = apply_checks_to_track(damaged(swing), pendulum(on_fault="cut"))
    assert verdict.pieces == [(0, 300)]
    assert sum(verdict.dropped.values()) == 700
    assert verdict.dropped == {"nonfinite": 698, "limits": 2}


def test_quarantine_keeps_nothing_and_names_every_fault(pendulum, swing):
    verdict = apply_checks_to_track(damaged(swing), pendulum(on_fault="quarantine"))
    assert verdict.pieces == []
    assert sum(verdict.dropped.values()) == 1000
    assert [finding.check for finding in verdict.findings] == ["nonfinite", "limits", "limits"]


def test_a_sound_track_is_one_piece_under_every_rule(pendulum, swing):
    for rule in ("split", "cut", "quarantine"):
        assert apply_checks_to_track(swing(), pendulum(on_fault=rule)).pieces == [(0, 1000)]


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
    assert (finding.check, verdict.pieces, verdict.dropped) == (
        "min_steps",
        [],
        {"min_steps": rows},
    )
    assert finding.fault.expected == "at least 20 rows"
