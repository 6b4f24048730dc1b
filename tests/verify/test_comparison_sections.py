"""The comparison in a report is red where the gate counts a reference as better."""

import re
from dataclasses import replace

from kinemill.cli.summary import comparison_table, errors_table
from kinemill.verify.comparison_sections import (
    best_card,
    comparison_section,
    free_run_text,
    horizons_card,
    verified_head,
)
from kinemill.verify.losses import Counted
from kinemill.verify.results import ChannelError, Metrics
from tests.verify.documents import UNITS, against, comparison, document

STATE = re.compile(r'class="state (\w+)" title="[^"]*">([^<]+)<')


def lines(angle, velocity):
    """Return comparisons of two channels at one horizon; their mean equals the first."""
    return {"nrmse": angle, "angle": angle, "velocity": velocity}


BETTER, EVEN = comparison(0.5, 0.4, 0.6), comparison(0.9, 0.7, 1.1)
WORSE, BEHIND = comparison(4.25, 3.69, 4.81), comparison(1.01, 1.005, 1.02)
FAR = comparison(1.5, 1.2, 1.9, reference=0.9)  # 0.9 of the spread: no reference predicts so far


def verified(**horizons):
    return document(
        against={"linear": against(0.5, 0.4, 0.6, {k[1:]: v for k, v in horizons.items()})}
    )


def test_each_cell_is_colored_by_what_the_gate_makes_of_it():
    result = verified(_1=lines(WORSE, BEHIND), _5=lines(BETTER, EVEN), _free_run=lines(FAR, FAR))
    states = dict.fromkeys(state for state, _ in STATE.findall(comparison_section(result)))
    assert set(states) == {"worse", "behind", "better", "even", "uncounted"}
    assert "4.25 ×" in comparison_section(result)
    assert "On angle, velocity no reference predicts whole episodes" in free_run_text(result)


def test_a_model_that_beats_all_has_no_red_and_a_green_badge():
    result = verified(_1=lines(BETTER, BETTER), _25=lines(BETTER, BETTER))
    assert {state for state, _ in STATE.findall(comparison_section(result))} == {"better"}
    assert "good-card" in horizons_card(result)
    assert "good-card" in best_card(result)
    assert "✓ Verified" in verified_head(result)


def test_a_reference_that_is_better_makes_card_and_badge_red():
    result = verified(_1=lines(WORSE, BETTER))
    assert "bad-card" in horizons_card(result)
    assert "✕ A reference is better" in verified_head(result)


def test_references_that_were_left_out_are_named_with_the_reason():
    result = verified(_1=lines(BETTER, BETTER))
    left_out = {"physics": "no <velocity> says what it is of"}
    references = replace(result.references, families={}, left_out=left_out)
    section = comparison_section(replace(result, references=references))
    assert "no &lt;velocity&gt; says what it is of" in section
    assert "fitted physics" in section


def test_a_channel_that_is_left_out_of_the_average_is_named():
    result = verified(_1=lines(BETTER, BETTER))
    note = "at rest in the training rows, left out of nrmse"
    channels = result.metrics.test
    channels["velocity"] = replace(channels["velocity"], note=note)
    assert "<b>velocity</b> is at rest in the training rows" in comparison_section(result)


def test_without_a_comparison_there_is_no_section():
    assert comparison_section(document(against={})) == ""


def test_the_tables_of_the_terminal_fit_80_columns(capsys):
    names = ("persistence", "constant_velocity", "linear", "linear_sincos", "physics")
    nrmse = {"model": 0.1234567} | dict.fromkeys(names, 0.2345678)
    test = {f"left_{name}": ChannelError(unit, nrmse) for name, unit in UNITS.items()}
    errors_table(Metrics(test, nrmse))
    comparison_table(
        verified(_1=lines(WORSE, EVEN), _5=lines(BETTER, EVEN), _free_run=lines(FAR, FAR))
    )
    message = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in message.splitlines()) <= 80
    assert "4.25 worse" in message
    assert "1.5 not counted" in message


def test_actions_of_a_policy_that_its_environment_judges_do_not_count():
    counting = verified(_1=lines(WORSE, BEHIND))
    section = comparison_section(replace(counting, counted=Counted((), None, 0.02)))
    assert ("worse", "4.25 ×") in STATE.findall(comparison_section(counting))
    assert ("uncounted", "4.25 ×") in STATE.findall(section)
    assert "the episodes in the environment decide" in section
