"""Manual decisions about the champion: approval, promotion, rollback, and their audit."""

import threading

import pytest

from kinemill.errors import BadInput, Blocked
from kinemill.register import list_versions, promotion, tags
from kinemill.register.alias_switch import ChampionChanged, audit
from kinemill.register.gate.report import why
from kinemill.register.versions import find_version
from kinemill.store import get_or_build, publish_document
from kinemill.task import load_task
from kinemill.task.portfolio import (
    SELECTION,
    TRAINED,
    UNTESTED,
    CandidateResult,
    Selection,
    untested_text,
)
from kinemill.tracking import open_tracking
from tests.register.conftest import Claims
from tests.register.registrations import facts


@pytest.fixture(autouse=True)
def _served_here(monkeypatch):
    monkeypatch.setattr(promotion, "run_stored_cases", lambda folder: (True, "answered"))


def champion(chain):
    listed = list_versions("cart", chain.home).versions
    return [item.version for item in listed if "champion" in item.aliases]


def test_rolling_back_goes_to_the_one_before_and_again_to_the_one_before_that(with_champion):
    chain = with_champion(3)
    result = promotion.rollback(chain.task, chain.home, why="it shakes")
    assert (result.version, result.previous_champion, champion(chain)) == (2, 3, [2])
    assert promotion.rollback(chain.task, chain.home).version == 1
    with pytest.raises(BadInput, match="is the first champion"):
        promotion.rollback(chain.task, chain.home)
    assert promotion.rollback(chain.task, chain.home, to=":3").version == 3
    with pytest.raises(BadInput, match="is champion already"):
        promotion.rollback(chain.task, chain.home, to=":3")


def test_the_trail_says_who_when_what_and_why(with_champion):
    chain = with_champion(3)
    chain.register(0.09, gain=0.9)
    promotion.rollback(chain.task, chain.home, why="it shakes")
    result = audit(chain.home, "cart")
    message = [(event.what, event.version, event.previous) for event in result.events]
    assert message == [
        ("champion", 1, None),
        ("champion", 2, 1),
        ("champion", 3, 2),
        ("champion", 4, 3),
        ("rolled back", 3, 4),
    ]
    assert result.champion == 3
    assert result.events[-1].why == "it shakes"
    assert result.events[-1].who


def test_of_8_promotions_at_once_one_wins_and_the_others_are_told(with_champion):
    chain = with_champion()
    tracking = open_tracking(chain.home)
    one = find_version(tracking.home, "cart", ":1")
    with tracking.as_default():
        for _ in range(2, 10):  # of the same model, as if each had passed the gate in its time
            tracking.client.create_model_version("cart", one.source, tags=one.tags)
    combined, won, message = threading.Barrier(8), [], []

    def run(version):
        combined.wait()
        try:
            promotion.promote(chain.task, chain.home, f":{version}", expected=1)
            won.append(version)
        except ChampionChanged as error:
            message.append(str(error))

    threads = [threading.Thread(target=run, args=(version,)) for version in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert (len(won), len(message)) == (1, 7)
    assert champion(chain) == won
    assert f"the champion changed: it is now version {won[0]}; expected version 1" in message[0]


def test_what_the_gate_refused_is_promoted_by_force_with_a_reason_alone(with_champion):
    chain = with_champion()
    chain.register(0.31, gain=0.6)
    with pytest.raises(
        BadInput, match=r"the gate refused it: beats_linear.*kinemill model why cart:2"
    ):
        promotion.promote(chain.task, chain.home, ":2")
    with pytest.raises(BadInput, match="expected a reason"):
        promotion.promote(chain.task, chain.home, ":2", force=True)
    promotion.promote(chain.task, chain.home, ":2", force=True, why="the old one hits the wall")
    assert champion(chain) == [2]
    assert audit(chain.home, "cart").events[-1].why.startswith("by force: the old one")


def test_rollback_to_a_refused_version_that_was_never_champion_is_refused(with_champion):
    chain = with_champion()
    chain.register(0.31, gain=0.6)
    with pytest.raises(BadInput, match=r"was never champion.*promote cart:2 --force"):
        promotion.rollback(chain.task, chain.home, to=":2")
    promotion.promote(chain.task, chain.home, ":2", force=True, why="the old one hits the wall")
    headline = why(chain.home, "cart", ":2")["headline"]
    assert "cart:2 is champion although the gate refused it" in headline
    promotion.rollback(chain.task, chain.home)
    assert promotion.rollback(chain.task, chain.home, to=":2").version == 2


def test_what_does_not_load_and_answer_becomes_champion_by_nobodys_word(with_champion, monkeypatch):
    chain = with_champion(3)
    monkeypatch.setattr(promotion, "run_stored_cases", lambda folder: (False, "ended with code -8"))
    with pytest.raises(Blocked, match="ended with code -8; the champion stays"):
        promotion.rollback(chain.task, chain.home)
    assert champion(chain) == [3]


def test_a_version_waits_for_approval_and_is_judged_anew_when_it_comes(chain):
    task = load_task(chain.task.path, {"promote.approval": True})
    registration = chain.register(0.1, task=task)
    assert facts(registration) == (1, "challenger", "refused")
    assert registration.decision == "waiting"
    assert "cart:1 waits for approval" in why(chain.home, "cart")["headline"]
    decision = promotion.approve(task, chain.home, ":1", why="seen it run", evidence=Claims(0.1))
    assert (decision.decision, decision.aliases) == ("champion", ["champion"])
    assert chain.register(0.1, task=task).status == "unchanged"
    events = [event.what for event in audit(chain.home, "cart").events]
    assert events == ["waiting", "approved", "champion"]


def test_another_interface_becomes_champion_when_somebody_says_that_it_breaks(with_champion):
    chain = with_champion()
    chain.register(0.05, gain=0.6, dt=0.05)
    evidence = Claims(0.05)
    plain = promotion.approve(chain.task, chain.home, ":2", evidence=evidence)
    assert (plain.decision, champion(chain)) == ("refused", [1])
    promotion.approve(chain.task, chain.home, ":2", breaking=True, evidence=evidence)
    assert champion(chain) == [2]
    (line,) = promotion.rollback(chain.task, chain.home).differs
    assert line == "dt of version 2 0.05, of version 1 0.02"


def test_why_says_what_to_do_about_each_line_that_failed(with_champion):
    chain = with_champion()
    chain.register(0.26, gain=0.6)
    result = why(chain.home, "cart", ":2")
    failed = {line["rule"]: line.get("fix") for line in result["gate"] if not line["passed"]}
    assert list(failed) == ["beats_linear_sincos", "interval_linear_sincos"]
    assert failed["beats_linear_sincos"].startswith("train longer, on more logs")
    assert result["headline"].endswith("; version 1 stayed champion.")
    assert result["explanation"] == ""
    assert "cart:1 is champion: it passed" in why(chain.home, "cart", "@champion")["headline"]


def test_why_lists_the_candidates_of_a_run_whose_model_is_set(with_champion):
    """Its model and the references were compared, and no portfolio wrote their results."""
    chain = with_champion()
    trained = find_version(chain.home, "cart", "@champion").tags[tags.MODEL]
    results = [CandidateResult(TRAINED, "", 0, score=0.1, seconds=2.0)]
    results.append(CandidateResult("linear", "", 0, score=0.2, seconds=0.5))

    def build(folder):
        publish_document(folder / SELECTION, Selection(TRAINED, "better", results))
        return {}

    get_or_build(chain.home, "selection", "cart", {"trained": trained}, build)
    answer = why(chain.home, "cart")
    assert answer["selected"] == "trained: better"
    listed = [(item["name"], item["score"], item["seconds"]) for item in answer["candidates"]]
    assert listed == [("trained", 0.1, 2.0), ("linear", 0.2, 0.5)]
    assert answer["untested"].startswith("learn.model is set: no other family was tried")
    results[:] = [CandidateResult("gru", "gru", 1, failure=f"{UNTESTED}no time")]
    assert "gru. A larger learn.budget tries them" in untested_text(results)
