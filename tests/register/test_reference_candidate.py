"""When the best reference is a candidate for the gate, and which candidate a run returns."""

import pytest

from kinemill.register import reference_candidate, stage
from kinemill.register.reference_candidate import (
    Candidate,
    Candidates,
    failed_of_model,
    register_candidates,
    why_no_reference,
)
from kinemill.register.stage import Registration
from kinemill.register.verdict import Verdict
from kinemill.register.versions import CHALLENGER, aliases_of
from kinemill.store import to_json_value
from kinemill.task import load_task
from tests.register.conftest import Claims


def registered(version, decision, *rules, undecided=(), status="done"):
    gate = [
        Verdict(rule, passed=False, value=1, expected=0, undecided=rule in undecided)
        for rule in rules
    ]
    gate.append(Verdict("beats_persistence", passed=True, value=0, expected=1))
    return Registration(
        version, None, status, gate, None, "", decision, "", "", {}, "", "", previous_champion=None
    )


def candidates(trained, reference):
    first = Candidate("trained", None, trained)
    return Candidates(first, Candidate("linear", None, reference) if reference else None, "why")


@pytest.mark.parametrize(
    ("rules", "undecided", "failed"),
    [
        (("beats_linear", "independent"), (), ["beats_linear"]),
        (("measured", "stability", "freshness"), (), ["measured", "stability"]),
        (("interval_physics", "no_worse_linear"), (), ["interval_physics", "no_worse_linear"]),
        (("beats_champion", "no_worse_champion", "approval"), (), []),
        (("interval_linear",), ("interval_linear",), []),
        (("beats_linear", "interval_linear"), ("interval_linear",), ["beats_linear"]),
    ],
)
def test_rules_that_a_reference_may_pass_are_a_reason_to_offer_one(rules, undecided, failed):
    refused = registered(1, "refused", *rules, undecided=undecided)
    assert failed_of_model(refused) == failed
    assert failed_of_model(registered(1, "champion", *rules)) == []
    assert failed_of_model(registered(1, "waiting", *rules)) == []


@pytest.mark.parametrize(
    ("reference", "result"),
    [
        (None, "trained"),
        (registered(2, "champion"), "linear"),
        (registered(2, "refused"), "trained"),
        (registered(2, "waiting"), "trained"),
        (registered(2, "champion", status="unchanged"), "linear"),
    ],
)
def test_a_run_ends_with_the_reference_that_became_champion(reference, result):
    actual = candidates(registered(1, "refused", "beats_linear"), reference)
    assert actual.result.name == actual.selection.selected == result


def test_a_reference_that_was_champion_before_leaves_the_run_to_its_trained_model():
    result = candidates(
        registered(3, "refused", "beats_linear"), registered(2, "champion", status="unchanged")
    )
    assert result.result.name == "trained"
    assert [candidate.version for candidate in result.selection.candidates] == [3, 2]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"learn.ensemble": 2}, "a reference does not support learn.ensemble: 2"),
        ({"learn.loss": "gaussian"}, "a reference does not support learn.loss: gaussian"),
        ({"promote.allow_reference": False}, "promote.allow_reference is false"),
        ({}, ""),
    ],
)
def test_what_a_reference_cannot_give_is_not_replaced_by_one(task, changed, why):
    assert why_no_reference(load_task(task.path, changed)) == why


def test_a_model_that_the_gate_accepts_is_the_only_candidate(chain):
    produced, evidence = chain.produce(0.1), Claims(0.1)
    result = register_candidates(chain.task, chain.home, produced, None, evidence=evidence)
    assert (result.result, result.reference) == (result.trained, None)
    assert to_json_value(result.selection) == {
        "selected": "trained",
        "why": "no reference is better",
        "candidates": [{"candidate": "trained", "version": 1, "decision": "champion"}],
    }


def test_of_two_refused_candidates_the_result_of_the_run_is_the_challenger(chain, monkeypatch):
    """The challenger stays the current version for users and `kinemill model evaluate`."""

    def challenger():
        return aliases_of(chain.home, chain.task.name)[CHALLENGER]

    trained, reference = chain.produce(0.5), chain.produce(0.6)
    monkeypatch.setattr(reference_candidate, "exportable", lambda *_: "linear")
    monkeypatch.setattr(reference_candidate, "_make", lambda *_: reference)
    evidence = Claims(0.95)  # persistence has 0.9
    made = [
        register_candidates(chain.task, chain.home, trained, trained.dataset, evidence=evidence)
        for _ in range(2)  # the second time as after a crash
    ]
    for one in made:
        assert one.reference.registration.decision == one.result.registration.decision == "refused"
        assert (one.result.registration.version, challenger()) == (1, 1)
    newer = stage.run(chain.task, chain.home, chain.produce(0.7), evidence=evidence)
    register_candidates(chain.task, chain.home, trained, trained.dataset, evidence=evidence)
    assert challenger() == newer.version == 3
