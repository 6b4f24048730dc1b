import json

from kinemill.register import Registration
from kinemill.register.gate.decision_document import DecisionFacts, insert, section
from kinemill.register.gate.rules import Verdict
from kinemill.register.run_summary import EpisodeCounts, RunDocument, Selection
from kinemill.store import to_json_value
from kinemill.verify.check_results import CallLatency, CheckSummary
from kinemill.verify.document import Verification
from kinemill.verify.results import ChannelError, Metrics, WindowCounts

VERIFICATION = Verification(
    passed=True,
    metrics=Metrics(
        test={"angle": ChannelError("rad", {"model": 0.1, "persistence": 0.5})},
        nrmse={"model": 0.2, "persistence": 1.0},
    ),
    summary=CheckSummary(True, True, None, CallLatency(0.1, 0.3)),
    windows=WindowCounts(count=7),
)
REGISTRATION = Registration(
    version=3,
    alias="champion",
    status="done",
    gate=[Verdict("verified", passed=True, value="passed", expected="passed")],
    run_id="r",
    report="store/decision/x/report.html",
    decision="champion",
    provisional="",
    headline="This MLP has an RMSE of 0.1 rad.",
    champion_errors={},
    bundle="store/bundle/x",
    logged_model="m",
    previous_champion=None,
)
SELECTION = Selection("linear", "not significantly better", [])


def test_the_run_document_has_exactly_the_promised_keys():
    run = RunDocument(
        "pendulum",
        episodes=EpisodeCounts(5, 1, 2),
        dataset="0123456789ab",
        selection=SELECTION,
        report="/home/report.html",
        seconds={"ingest": 0.123},
        warnings=["near-duplicates"],
    )
    document = to_json_value(run.with_results(VERIFICATION, REGISTRATION))
    assert document == {
        "task": "pendulum",
        "status": "done",
        "headline": "This MLP has an RMSE of 0.1 rad.",
        "episodes": {"accepted": 5, "quarantined": 1, "cached": 2},
        "dataset": "0123456789ab",
        "metrics": to_json_value(VERIFICATION.metrics),
        "verification": to_json_value(VERIFICATION.summary),
        "selection": to_json_value(SELECTION),
        "version": 3,
        "alias": "champion",
        "provisional": "",
        "gate": [vars(REGISTRATION.gate[0])],
        "report": "/home/report.html",
        "warnings": ["near-duplicates"],
        "seconds": {"ingest": 0.123},
    }
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_a_run_that_reached_no_registration_failed_with_the_same_keys():
    whole = RunDocument("pendulum").with_results(VERIFICATION, REGISTRATION)
    failed = RunDocument("pendulum").with_results(None, None)
    assert list(to_json_value(failed)) == list(to_json_value(whole))
    assert (failed.status, failed.version, failed.gate) == ("failed", None, [])


def test_the_verdict_goes_to_its_marker_or_before_the_end_of_the_body():
    page = "<body>a<!-- kinemill:decision -->b</body>"
    assert insert(page, "X") == "<body>aXb</body>"
    assert insert("<body>a</body>", "X") == "<body>aX</body>"
    assert insert("a", "X") == "aX"


def test_what_a_rule_found_is_text_in_the_report_never_markup():
    facts = DecisionFacts("cart", 2, "refused", previous_champion=1)
    piece = section(facts, [Verdict("a", passed=False, value="<script>", expected="<= 1")])
    assert "<script>" not in piece
    assert "cart:2 is refused: rule a failed; version 1 stayed champion." in piece


def test_a_run_without_a_version_says_what_was_verified():
    message = RunDocument("pendulum").with_results(VERIFICATION, None).headline
    assert message.startswith("This model has an RMSE of 0.1 rad (angle) at the horizon")
    assert RunDocument("pendulum").with_results(None, None).headline == ""
