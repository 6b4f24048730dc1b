"""Champions with too little test data are provisional, marked as such, and easier to replace."""

import json
import math
from dataclasses import replace

import pytest
import yaml
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.register import list_versions, promote, rollback, show, why
from kinemill.register.gate.evaluation import conclude, evaluate
from kinemill.register.gate.inputs import Runs
from kinemill.register.gate.rules import Champion, GateInputs, Measured, RowOverlap
from kinemill.register.task_page import task_page
from kinemill.register.version_page import version_page
from kinemill.register.versions import find_version, versions_of
from kinemill.task import Task, load_task
from tests.register.conftest import BASELINES, HISTORY, WINDOWS, Claims, paired, verification
from tests.register.conftest import comparison as compare
from tests.register.registrations import gate_of

NAN = math.nan
LACKS = "1 test episode of 5: record more test episodes"


def some(error=0.1, champion=0.5, **changes):
    """Evidence from one test episode."""
    return Claims(error, champion, **({"episodes": 1} | changes))


def comparison(task, champion=None, episodes=6, **changes):
    values = {name: paired(0.1, error, **changes) for name, error in BASELINES.items()}
    return GateInputs(
        task,
        verification(0.1),
        champion,
        measured=Measured(0.1, {}, WINDOWS, episodes, HISTORY),
        references=values,
        absent={"physics": "no velocities"},
        served=(True, "answered"),
        overlap=RowOverlap(0.0, 0.0, 0.0),
    )


def concluded(result):
    ended = conclude(result, evaluate(result))
    return ended.decision, bool(ended.provisional)


NONE = {"interval": (NAN, NAN), "p_worse": NAN, "effective_n": 2.0, "unit": "blocks"}
# Decision, and whether it is provisional.
PROMOTED = ("champion", False)
PROVISIONAL = ("champion", True)
REFUSED = ("refused", False)
ESTABLISHED = Champion(4, paired=paired(0.1, 0.2))


def test_with_enough_test_data_a_champion_is_established(task):
    assert concluded(comparison(task)) == PROMOTED
    assert concluded(comparison(task, ESTABLISHED)) == PROMOTED


@pytest.mark.parametrize(
    "lacks",
    [{"episodes": 4}, {"effective_n": 5.9, "unit": "blocks"}, NONE],
    ids=["episodes", "blocks", "no interval"],
)
def test_with_less_it_is_provisional_and_never_replaces_an_established_one(task, lacks):
    assert concluded(comparison(task, **lacks)) == PROVISIONAL
    assert (
        concluded(comparison(task, replace(ESTABLISHED, provisional=True), **lacks)) == PROVISIONAL
    )
    assert concluded(comparison(task, ESTABLISHED, **lacks)) == REFUSED
    waits = load_task(task.path, {"promote.approval": True})
    assert concluded(comparison(waits, **lacks)) == ("waiting", True)


def test_six_blocks_or_whole_episodes_are_enough(task):
    assert concluded(comparison(task, effective_n=6.0, unit="blocks")) == PROMOTED
    assert concluded(comparison(task, effective_n=4.2, unit="episodes")) == PROMOTED
    requested = load_task(task.path, {"promote.min_test_episodes": 1, "promote.min_independent": 3})
    assert concluded(comparison(requested, episodes=1, effective_n=3.0, unit="blocks")) == PROMOTED


def test_without_any_test_episode_nothing_is_champion(task):
    assert concluded(comparison(task, episodes=0)) == REFUSED
    assert concluded(replace(comparison(task), measured=None)) == REFUSED


def test_all_else_has_to_hold(task):
    worse = comparison(task, episodes=1)
    equal = worse.references | {"linear": paired(0.1, 0.1)}
    assert concluded(replace(worse, references=equal)) == PROVISIONAL
    wide = worse.references | {"linear": paired(0.1, 0.12, (0.5, 1.4))}  # an interval that holds 1
    assert concluded(replace(worse, references=wide)) == PROVISIONAL
    assert concluded(replace(worse, served=(False, "ended"))) == REFUSED


def detail(horizon, channel):
    """Return a pair that is better but for one channel at one horizon, significantly."""
    pair = paired(0.1, 0.3)
    lost = compare(0.15, 0.1, (1.2, 1.8), p_worse=1e-6)
    at_horizon = {**pair.horizons[horizon], channel: lost}
    return replace(pair, horizons={**pair.horizons, horizon: at_horizon})


@pytest.mark.parametrize(
    ("reference", "horizon", "channel", "decision"),
    [
        ("persistence", "1", "velocity", PROVISIONAL),
        ("persistence", "1", "nrmse", PROVISIONAL),
        ("persistence", "25", "position", PROVISIONAL),
        ("persistence", "25", "nrmse", REFUSED),
        ("persistence", "free_run", "nrmse", REFUSED),
        ("linear", "25", "nrmse", PROVISIONAL),
        ("linear", "free_run", "nrmse", PROVISIONAL),
    ],
)
def test_first_model_that_is_worse_than_a_reference_is_provisional_champion(
    task, reference, horizon, channel, decision
):
    inputs = comparison(task)
    lost = replace(inputs, references=inputs.references | {reference: detail(horizon, channel)})
    assert concluded(lost) == decision
    assert concluded(replace(lost, champion=ESTABLISHED)) == REFUSED


def test_reference_that_is_worse_than_another_one_is_provisional_champion(task):
    inputs = comparison(task)
    itself = replace(paired(0.1, 0.1), itself=True)
    references = {"linear": itself, "linear_sincos": detail("25", "nrmse")}
    lost = replace(inputs, references=inputs.references | references)
    assert concluded(lost) == PROVISIONAL
    assert concluded(replace(lost, champion=ESTABLISHED)) == REFUSED


def test_difference_within_the_tolerance_of_a_channel_is_no_loss(task):
    inputs = comparison(task)
    pair = detail("25", "velocity")
    lost = replace(pair.horizons["25"]["velocity"], tolerance=0.06)
    pair = replace(
        pair, horizons={**pair.horizons, "25": {**pair.horizons["25"], "velocity": lost}}
    )
    assert concluded(replace(inputs, references=inputs.references | {"linear": pair})) == PROMOTED


@pytest.mark.parametrize(("test", "advice"), [(0.2, "a larger share"), (["a*"], "name them in")])
def test_advice_on_too_few_test_episodes_follows_from_the_kind_of_split(task, test, advice):
    few = comparison(load_task(task.path, {"dataset.test": test}), episodes=2)
    assert advice in conclude(few, evaluate(few)).provisional


def test_copied_test_rows_make_a_first_champion_provisional(task):
    again = replace(comparison(task), overlap=RowOverlap(0.0, 1.0, 0.0))
    assert concluded(again) == PROMOTED
    repeated = replace(comparison(task), overlap=RowOverlap(1.0, 0.0, 1.0))
    assert concluded(repeated) == PROVISIONAL
    assert "take copies" in conclude(repeated, evaluate(repeated)).provisional
    assert concluded(replace(repeated, champion=ESTABLISHED)) == REFUSED
    assert concluded(replace(repeated, overlap=RowOverlap())) == REFUSED  # not measured


@pytest.mark.parametrize(
    ("pair", "decision"),
    [
        (paired(0.95, 1.0, (0.7, 1.3)), PROVISIONAL),
        (paired(1.05, 1.0, (0.8, 1.4)), PROVISIONAL),
        (paired(1.5, 1.0, (1.2, 1.9)), REFUSED),
        (paired(2.5, 1.0, (NAN, NAN), p_worse=NAN), REFUSED),
        (paired(math.inf, 1.0, (NAN, NAN), p_worse=NAN), REFUSED),
    ],
)
def test_first_model_serves_unless_it_is_significantly_worse_than_persistence(task, pair, decision):
    inputs = comparison(task)
    pair = replace(pair, horizons=inputs.references["persistence"].horizons)
    references = inputs.references | {"persistence": pair}
    assert concluded(replace(inputs, references=references)) == decision


@pytest.mark.parametrize(
    ("pair", "decision"),
    [
        (paired(0.1, 0.2, (0.4, 0.6)), PROMOTED),
        (paired(0.105, 0.1, (0.8, 1.4)), PROVISIONAL),
        (paired(0.15, 0.1, (1.2, 1.9)), REFUSED),
    ],
)
def test_first_policy_serves_unless_a_reference_imitates_significantly_better(task, pair, decision):
    learn = {"type": "imitation", "model": {"type": "mlp"}}
    task = Task.model_validate({**yaml.safe_load(task.path.read_text()), "learn": learn})
    better = paired(0.1, 0.3, (0.2, 0.5))
    references = {"mean": better, "repeat": better, "linear": pair, "nearest": better}
    measured = Measured(0.1, {}, WINDOWS, 6)
    inputs = replace(comparison(task), references=references, measured=measured)
    assert concluded(inputs) == decision
    assert concluded(replace(inputs, champion=ESTABLISHED)) == (
        decision if decision == PROMOTED else REFUSED
    )


def test_model_that_diverges_in_a_recorded_episode_is_never_champion(task):
    diverging = replace(comparison(task), runs=Runs(12, ("run7.csv",)))
    assert concluded(diverging) == REFUSED
    (line,) = [item for item in evaluate(diverging) if not item.passed]
    assert (line.rule, line.value) == ("stability", "1 of 12 episodes diverge: run7.csv")
    assert concluded(replace(diverging, runs=Runs(12, ()))) == PROMOTED


def test_than_a_provisional_champion_enough_data_has_to_show_no_more_than_that_it_is_as_good(task):
    tie = paired(0.1, 0.1, (0.9, 1.1))
    provisional = Champion(4, paired=tie, provisional=True)
    assert concluded(comparison(task, provisional)) == PROMOTED
    assert concluded(comparison(task, provisional, episodes=2)) == REFUSED
    assert concluded(comparison(task, replace(provisional, provisional=False))) == REFUSED
    for worse in (paired(0.1, 0.09, (0.9, 1.3)), paired(0.1, 0.099, (1.01, 1.02), p_worse=0.9)):
        assert concluded(comparison(task, replace(provisional, paired=worse))) == REFUSED


def test_a_provisional_champion_is_marked_wherever_it_is_shown(chain, monkeypatch):
    registration = chain.register(0.1, evidence=some())
    assert (registration.status, registration.alias) == ("done", "champion")
    assert registration.provisional.startswith(LACKS)
    assert gate_of(registration)["evidence"] is False
    (line,) = list_versions("cart", chain.home).versions
    assert line.provisional.startswith(LACKS)
    displayed = show("cart", chain.home)
    assert (displayed.decision, displayed.provisional[:5]) == ("champion", LACKS[:5])
    assert "cart:1 is provisional champion" in displayed.description
    assert LACKS in displayed.description
    assert displayed.tags["kinemill.provisional"].startswith(LACKS)
    message = why(chain.home, "cart")
    assert "cart:1 is provisional champion" in message["headline"]
    assert [cause["rule"] for cause in message["causes"]] == ["evidence"]
    version = find_version(chain.home, "cart", ":1")
    assert version.status == "provisional champion"
    assert "is provisional champion" in version_page(chain.home, version)
    assert LACKS in task_page("cart", versions_of(chain.home, "cart"))
    for requested in (
        ["model", "list", "cart"],
        ["model", "show", "cart"],
        ["model", "why", "cart"],
    ):
        printed = CliRunner().invoke(app, requested)
        assert "rovisional" in printed.stdout, printed.stdout
    decision = (chain.home.root / registration.report).parent / "decision.json"
    assert json.loads(decision.read_text())["provisional"].startswith(LACKS)


def test_provisional_champions_follow_one_another_until_one_is_established(chain):
    first = chain.register(0.1, evidence=some())
    second = chain.register(0.05, gain=0.6, evidence=some(0.05, 0.1))
    assert [bool(one.provisional) for one in (first, second)] == [True, True]
    equal = Claims(0.05, 0.05, interval=(0.95, 1.05))
    third = chain.register(0.05, gain=0.7, evidence=equal)
    assert (third.status, third.provisional) == ("done", "")
    fourth = chain.register(0.01, gain=0.8, evidence=some(0.01, 0.05))
    assert fourth.status == "refused"
    rollback(chain.task, chain.home)
    assert show("cart", chain.home).provisional.startswith(LACKS)
    promote(chain.task, chain.home, ":3")
    assert show("cart", chain.home).provisional == ""
