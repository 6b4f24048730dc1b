"""Counted trials on a robot: recorded, shown, and a reason for the gate to decide again."""

import json

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.errors import BadInput
from kinemill.register.alias_switch import audit
from kinemill.register.promotion import record_trials
from kinemill.register.robot_trials import success_interval
from kinemill.register.version_comparison import compare
from kinemill.register.version_page import version_page
from kinemill.register.versions import find_version
from kinemill.task import load_task
from tests.register.conftest import Claims


@pytest.mark.parametrize(
    ("successes", "of", "low", "high"),
    # Clopper and Pearson (1934); without failures 1 - 0.025^(1 / n) fails at most.
    [(17, 20, 0.6211, 0.9679), (10, 10, 0.025**0.1, 1.0), (0, 10, 0.0, 1.0 - 0.025**0.1)],
)
def test_success_interval_is_that_of_clopper_and_pearson(successes, of, low, high):
    assert success_interval(successes, of) == pytest.approx((low, high), abs=1e-4)


@pytest.fixture
def counted(chain):
    """A task whose first version is a provisional champion, because it has no trials."""
    task = load_task(chain.task.path, {"promote.min_success": 0.6})
    registration = chain.register(0.1, task=task)
    assert registration.alias == "champion"
    return task


def test_trials_confirm_a_provisional_champion_and_are_shown(chain, counted):
    reason = find_version(chain.home, "cart", ":1").provisional
    assert reason.startswith("trials: no trials on the robot")
    assert "kinemill model trials" in reason
    change = record_trials(counted, chain.home, ":1", 17, 20, note="lab", evidence=Claims(0.1))
    assert (change.decision, change.provisional, change.aliases) == ("champion", "", ["champion"])
    version = find_version(chain.home, "cart", ":1")
    assert version.tags["kinemill.trials"] == "17 of 20"
    events = [(event.label, event.why) for event in audit(chain.home, "cart").events]
    assert [label for label, _ in events] == ["champion", "trials: 17 of 20", "champion"]
    assert events[1][1] == "lab"
    assert "17 of 20 (95 %: 62.1% to 96.8%)" in version_page(chain.home, version)


def test_trials_that_no_rule_counts_are_recorded_alone(chain):
    chain.register(0.1)
    change = record_trials(chain.task, chain.home, ":1", 3, 20)
    assert (change.decision, change.previous_champion) == ("champion", None)
    assert [event.what for event in audit(chain.home, "cart").events] == ["champion", "trials"]
    counts = ["--success", "3", "--of", "20"]
    printed = CliRunner().invoke(app, ["model", "trials", "cart:1", *counts])
    assert "recorded, and no rule counts them" in printed.stderr


def test_the_last_record_counts_and_can_refuse_a_champion_which_keeps_its_alias(chain, counted):
    for successes, of in ((17, 20), (10, 40)):
        change = record_trials(counted, chain.home, ":1", successes, of, evidence=Claims(0.1))
    assert (change.decision, change.aliases) == ("refused", ["champion"])
    assert [line.rule for line in change.gate if not line.passed] == ["trials"]


def test_a_challenger_is_promoted_when_its_trials_suffice(chain, counted):
    record_trials(counted, chain.home, ":1", 17, 20, evidence=Claims(0.1))
    refused = chain.register(0.05, gain=0.6, task=counted)
    failed = [line.rule for line in refused.gate if not line.passed]
    assert (refused.alias, failed) == ("challenger", ["trials", "trials_champion"])
    change = record_trials(counted, chain.home, ":2", 19, 20, evidence=Claims(0.05))
    assert (change.decision, change.aliases, change.previous_champion) == (
        "champion",
        ["champion"],
        1,
    )
    text = compare(load_task(counted.path, {"verify.horizon": 4}), chain.home, ":1", ":2")
    assert "version 1 17 of 20" in text.trials_text
    assert "p = 0.6 that" in text.trials_text  # Fisher's exact test, both sides


@pytest.mark.parametrize(("successes", "of"), [(21, 20), (-1, 20), (0, 0)])
def test_impossible_counts_are_refused(chain, counted, successes, of):
    with pytest.raises(BadInput, match=f"{successes} successes of {of} trials"):
        record_trials(counted, chain.home, ":1", successes, of)
    assert len(audit(chain.home, "cart").events) == 1


def test_commands_print_recorded_trials(chain, counted, monkeypatch):
    record_trials(counted, chain.home, ":1", 17, 20, note="lab", evidence=Claims(0.1))

    def output(*words):
        result = CliRunner().invoke(app, ["model", *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert "trials on the robot: 17 of 20 (95 %: 62.1% to 96.8%)" in output("why", "cart:1")
    assert "17 of 20" in output("show", "cart:1")
    assert json.loads(output("why", "cart:1", "--json"))["trials"]["successes"] == 17
