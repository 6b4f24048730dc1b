"""The table of a portfolio on the page of a version."""

from kinemill.store import publish_document
from kinemill.task.portfolio import RESULTS, CandidateResult
from kinemill.verify.portfolio_section import portfolio_section

BEST = CandidateResult("arx", "arx", 0, 0, 12, 0.2, 0.0, {1: 0.01, 25: 0.2}, 0.3, 0.08)
WORSE = CandidateResult("mlp", "mlp", 1, 400, 9000, 8.0, 0.02, {1: 0.02, 25: None}, None, None)
FAILED = CandidateResult("gru", "gru", 1, failure="no episode has <500> steps")


def test_candidates_are_listed_in_the_order_of_the_selection_with_failures(tmp_path):
    publish_document(tmp_path / RESULTS, [BEST, WORSE, FAILED])
    html = portfolio_section(tmp_path)
    locations = [html.index(f">{name}<") for name in ("arx", "mlp", "gru")]
    assert locations == sorted(locations)
    for text in ("25 steps", "not finite", "0.08", "9,000", "no episode has &lt;500&gt; steps"):
        assert text in html


def test_a_model_without_a_portfolio_has_no_section(tmp_path):
    assert portfolio_section(tmp_path) == ""
