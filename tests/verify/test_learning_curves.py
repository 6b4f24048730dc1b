"""The section of a report on a training run: curves, and a table of statistics."""

import json
import re

import numpy as np
import pytest

from kinemill.reports.charts import Line, line_chart
from kinemill.store import publish_document
from kinemill.task.portfolio import RESULTS, CandidateResult
from kinemill.verify.learning_curves import HEADING, training_section


def trained(folder, curves, **summary):
    (folder / "history.json").write_text(json.dumps(curves))
    numbers = {"parameters": 1, "best": 1.0, "best_step": 20, "monitor": "evaluation/return"}
    summary = numbers | summary
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def cells(section, name):
    """Return the numbers of a curve in the table."""
    (row,) = re.findall(rf'<span class="name">{re.escape(name)}</span>.*?</tr>', section)
    return re.findall(r'<td class="number">([^<]*)</td>', row)


def test_returns_successes_actions_and_events_of_a_policy_are_drawn_and_tabled(tmp_path):
    curves = {
        "learner/value_loss": [[10, 4.0], [20, 2.0], [30, 1.0]],
        "train/return": [[10, -3.0], [20, 1.0], [30, 2.0]],
        "evaluation/return": [[10, 0.0], [20, 9.0], [30, 5.0]],
        "evaluation/success": [[10, 0.0], [20, 1.0], [30, 0.5]],
        "evaluation/length": [[10, 7.0], [20, 8.0], [30, 9.0]],
        "episodes/action/push/mean": [[10, 0.1], [20, 0.2], [30, 0.3]],
        "episodes/action/push/std": [[10, 0.5], [20, 0.4], [30, 0.3]],
        "episodes/event/bumps": [[10, 12.0], [20, 3.0], [30, None]],
    }
    section = training_section(trained(tmp_path, curves))
    assert section.startswith(HEADING)
    # Returns, successes, lengths; one action; one event.
    assert section.count("<svg") == 5
    assert "The weights are those of step 20" in section
    assert section.count('rect class="band best"') == 3
    assert cells(section, "evaluation/return") == ["0.00", "9.00", "5.00", "0.00", "9.00"]
    assert cells(section, "episodes/event/bumps") == ["12.0", "3.00", "3.00", "3.00", "12.0"]
    folded = section.partition("<details>")[2]
    assert "learner/value_loss" in folded
    assert "evaluation/return" not in folded


def test_losses_have_a_logarithmic_axis_unless_one_is_no_positive_number(tmp_path):
    curves = {"train/loss": [[1, 1.0], [2, 0.001]], "validation/loss": [[1, 2.0], [2, 0.5]]}
    assert ">0.01<" in training_section(trained(tmp_path, curves))
    curves["train/loss"] = [[1, 1.0], [2, -0.5]]
    section = training_section(trained(tmp_path, curves))
    assert ">0.01<" not in section
    # The lowest is drawn, too.
    assert cells(section, "train/loss") == ["1.00", "−0.500", "−0.500", "−0.500", "1.00"]


@pytest.mark.parametrize("curves", [{}, {"train/loss": [[1, 1.0]]}, {"train/loss": [[1, None]]}])
def test_where_nothing_was_trained_nothing_is_shown(tmp_path, curves):
    assert training_section(trained(tmp_path, curves)) == ""
    assert training_section(tmp_path / "nowhere") == ""
    assert training_section(None) == ""


def test_names_from_an_environment_are_text(tmp_path):
    section = training_section(
        trained(tmp_path, {"episodes/event/<script>": [[1, 1.0], [2, 2.0]]}, watched="<script>")
    )
    assert "&lt;script&gt;" in section
    assert "<script" not in section


def test_the_last_number_under_a_chart_is_not_cut_off():
    at = np.array([0.0, 1e6])
    chart = line_chart([Line("one", "model", at, at)], labels=("x", "y"), size=(340, 190))
    result = re.findall(r'x="([\d.]+)" y="165.0" text-anchor="(\w+)">([^<]+)<', chart)
    assert [text for *_, text in result][-1] == "1e+06"
    for x, anchor, text in result:
        right = float(x) + (0.0 if anchor == "end" else 3.5 * len(text))
        assert right <= 340


BEST = CandidateResult("arx", "arx", 0, 0, 12, 0.2, 0.0, {1: 0.01, 25: 0.2}, 0.3, 0.08)
WORSE = CandidateResult("mlp", "mlp", 1, 400, 9000, 8.0, 0.02, {1: 0.02, 25: None}, None, None)
FAILED = CandidateResult("gru", "gru", 1, failure="no episode has <500> steps")


def test_candidates_are_listed_in_the_order_of_the_selection_with_failures(tmp_path):
    publish_document(tmp_path / RESULTS, [BEST, WORSE, FAILED])
    html = training_section(trained(tmp_path, {"train/loss": [[1, 1.0], [2, 0.5]]}))
    locations = [html.index(f">{name}<") for name in ("arx", "mlp", "gru")]
    assert locations == sorted(locations)
    for text in ("25 steps", "not finite", "0.08", "9,000", "no episode has &lt;500&gt; steps"):
        assert text in html
