"""Results of a portfolio as text."""

from dataclasses import replace

from kinemill.store import publish_document
from kinemill.task.portfolio import (
    RESULTS,
    UNTESTED,
    CandidateResult,
    portfolio_results,
    untested_text,
)


def test_candidates_without_budget_are_listed_with_what_would_try_them(tmp_path):
    assert portfolio_results(tmp_path) == []  # no portfolio
    tested = CandidateResult("linear, 4 rows", "arx", 0, score=0.1)
    failed = replace(tested, name="gru", failure="diverged")
    left = [replace(tested, name=f"mlp {n}", failure=f"{UNTESTED}out of time") for n in range(7)]
    assert untested_text([tested, failed]) == ""
    publish_document(tmp_path / RESULTS, [tested, failed, *left])
    assert untested_text(portfolio_results(tmp_path)) == (
        "7 of 9 candidates were not tested, because learn.budget was used up: mlp 0; mlp 1; mlp 2; "
        "mlp 3; mlp 4 and 2 more. A larger learn.budget tries them"
    )
