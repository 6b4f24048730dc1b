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


def test_candidates_without_a_result_are_listed_with_reasons(tmp_path):
    assert portfolio_results(tmp_path) == []  # no portfolio
    tested = CandidateResult("linear, 4 rows", "arx", 0, score=0.1)
    failed = replace(tested, name="gru", failure="diverged")
    left = [replace(tested, name=f"mlp {n}", failure=f"{UNTESTED}out of time") for n in range(7)]
    assert untested_text([tested]) == ""
    assert untested_text([replace(failed, name=tested.name), tested]) == ""  # in another round
    publish_document(tmp_path / RESULTS, [tested, failed, *left])
    assert untested_text(portfolio_results(tmp_path)) == (
        "7 of 9 candidates were not tested, because learn.budget was used up: mlp 0; mlp 1; mlp 2; "
        "mlp 3; mlp 4 and 2 more. A larger learn.budget tries them. "
        "1 of 9 candidates failed: gru: diverged"
    )
