"""Each rule of the gate as a check on `registered_model`, which never blocks."""

from kinemill.register.gate.rules import RULES
from kinemill_dagster.assets.register import _check_results, make
from kinemill_dagster.assets.stage import ChainSettings


def test_every_rule_is_a_check_that_does_not_block_and_says_what_to_do(task):
    specs = {spec.name: spec for spec in make(ChainSettings(task, {})).check_specs}
    assert set(specs) == {f"gate_{rule}" for rule in RULES}
    assert not any(spec.blocking for spec in specs.values())
    assert "Refused:" in specs["gate_interface"].description


def test_every_line_of_a_decision_answers_its_own_rule(chain):
    registration = chain.register(0.31)
    results = {result.name: result for result in _check_results(registration.gate)}
    assert not results["gate_beats"].passed
    assert "beats_linear: 0.31" in results["gate_beats"].description
    lines = [line for result in results.values() for line in result.values["lines"]]
    assert sorted(line["rule"] for line in lines) == sorted(line.rule for line in registration.gate)
    assert {name for name in results if not results[name].passed} == {"gate_beats", "gate_interval"}
