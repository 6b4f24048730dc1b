"""A challenger that is better at the horizon, but worse in another comparison that counts."""

import math
from dataclasses import replace

import pytest

from kinemill.register.gate.evaluation import evaluate
from kinemill.register.gate.rules import RULES, Champion, GateInputs, Paired
from kinemill.task import load_task
from kinemill.task.promote import FREE_RUN
from kinemill.verify.comparison import NRMSE
from kinemill.verify.document import Verification
from tests.register.conftest import BASELINES, comparison, paired

INF, NAN = math.inf, math.nan


def worse_at(horizon, channel, model=1.0, reference=0.3, **changes):
    """Return a model with a third of the reference's error in all comparisons but one."""
    fields = {"interval": (1.5, 6.0), "p_worse": 1e-6} | changes
    good = paired(0.1, 0.3)
    bad = good.horizons[horizon] | {channel: comparison(model, reference, **fields)}
    return replace(good, horizons={**good.horizons, horizon: bad})


def verdicts(task, references=None, champion=None):
    values = {name: paired(0.1, error) for name, error in BASELINES.items()} | (references or {})
    inputs = GateInputs(
        task, Verification(), champion, references=values, absent={"physics": "no velocities"}
    )
    return {line.rule: line for line in RULES["no_worse"](inputs)}


def test_each_reference_has_a_line_that_says_how_near_it_was(task):
    result = verdicts(task)
    assert list(result) == [f"no_worse_{name}" for name in [*BASELINES, "champion"]]
    assert all(line.passed for line in result.values())
    assert result["no_worse_linear"].value == "at most 0.333 x, nrmse 1 step ahead"
    assert result["no_worse_linear"].expected == (
        "nowhere significantly worse: 1 step ahead, 5 steps ahead, 25 steps ahead, in free run"
    )
    assert result["no_worse_champion"].value == "no champion"


@pytest.mark.parametrize("horizon", ["1", "5", "25", FREE_RUN])
@pytest.mark.parametrize("channel", [NRMSE, "velocity"])
def test_worse_at_any_horizon_or_channel_refuses(task, horizon, channel):
    result = verdicts(task, {"linear": worse_at(horizon, channel)})
    refused = [name for name, line in result.items() if not line.passed]
    assert refused == ["no_worse_linear"]
    assert result["no_worse_linear"].value.startswith(f"{channel} ")
    assert "3.33 x (1.5 to 6)" in result["no_worse_linear"].value


def test_a_model_with_seven_times_the_error_of_persistence_in_free_run_is_refused(task):
    """`linear` diverges there, so it does not count; persistence counts at every horizon."""
    alone = {name: comparison(3.5, INF) for name in (NRMSE, "position", "velocity")}
    linear = paired(0.1, 0.3)
    linear = replace(linear, horizons={**linear.horizons, FREE_RUN: alone})
    still = worse_at(FREE_RUN, "position", 3.5, 0.5, interval=(NAN, NAN), p_worse=NAN)
    result = verdicts(task, {"linear": linear, "persistence": still})
    assert [name for name, line in result.items() if not line.passed] == ["no_worse_persistence"]
    assert result["no_worse_persistence"].value == "position in free run 7 x"


def test_whole_episodes_of_chaos_refuse_nobody_but_who_leaves_the_room(task):
    twice = worse_at(FREE_RUN, "position", 1.9, 0.9)
    assert all(line.passed for line in verdicts(task, {"linear": twice}).values())
    away = worse_at(FREE_RUN, "position", 2.8, 0.9)
    assert not verdicts(task, {"linear": away})["no_worse_linear"].passed


def test_a_task_says_what_does_not_matter(task):
    free = {"linear": worse_at(FREE_RUN, "velocity")}
    windows = load_task(task.path, {"promote.horizons": [1, 25]})
    assert all(line.passed for line in verdicts(windows, free).values())
    position = load_task(task.path, {"promote.channels": ["position"]})
    assert all(line.passed for line in verdicts(position, free).values())
    named = load_task(task.path, {"promote.beats": ["persistence", "champion"]})
    assert "no_worse_linear" not in verdicts(named, free)


def test_the_champion_is_a_reference_too(task):
    champion = Champion(3, paired=worse_at("1", "velocity"))
    line = verdicts(task, champion=champion)["no_worse_champion"]
    assert not line.passed
    deleted = Champion(3, problem="version 3: was champion, and its alias is gone")
    assert not verdicts(task, champion=deleted)["no_worse_champion"].passed
    assert verdicts(task, champion=Champion(3, same=True))["no_worse_champion"].passed


def test_a_model_that_diverges_is_worse_than_any_reference_that_does_not(task):
    result = verdicts(task, {"linear": worse_at("25", NRMSE, INF, interval=(NAN, NAN))})
    assert result["no_worse_linear"].value == "nrmse 25 steps ahead diverges"


def test_a_reference_that_was_not_compared_at_a_horizon_refuses(task):
    part = paired(0.1, 0.3)
    part = replace(part, horizons={key: part.horizons[key] for key in ("1", "25")})
    result = verdicts(task, {"linear": part})["no_worse_linear"]
    assert (result.passed, "in free run was not measured" in result.value) == (False, True)


def of_reference(task, name, **changes):
    """Return the lines on a challenger that is the reference `name`, better than linear_sincos."""
    equal = paired(0.25, 0.25, (1.0, 1.0), p_worse=1.0)
    errors = {"persistence": 0.9, "constant_velocity": 0.6, "linear": 0.25, "linear_sincos": 0.25}
    values = {one: paired(0.25, error) for one, error in errors.items()}
    values |= {"linear": equal, "linear_sincos": equal, name: replace(equal, itself=True)}
    absent = {"physics": "no velocities"}
    inputs = GateInputs(task, Verification(), references=values | changes, absent=absent)
    return {line.rule: line for line in evaluate(inputs)}


def test_a_reference_need_not_beat_itself_nor_its_equals(task):
    lines = of_reference(task, "linear")
    about = {name: line for name, line in lines.items() if name.startswith(("beats", "interval"))}
    assert all(line.passed for line in about.values())
    assert lines["beats_linear"].value == "the model is this reference, linear"
    assert {"beats_persistence", "interval_constant_velocity"} <= set(about)
    assert "beats_linear_sincos" not in lines
    assert lines["no_worse_linear_sincos"].passed


def test_a_reference_still_has_to_beat_the_trivial_ones_and_be_no_worse_than_its_peers(task):
    worse = of_reference(task, "linear", linear_sincos=worse_at("25", NRMSE))
    assert not worse["no_worse_linear_sincos"].passed
    runaway = worse_at(FREE_RUN, NRMSE, 0.9, 0.3, interval=(NAN, NAN), p_worse=NAN)
    assert not of_reference(task, "linear", linear_sincos=runaway)["no_worse_linear_sincos"].passed
    trivial = of_reference(task, "linear", persistence=worse_at("1", "velocity"))
    assert not trivial["no_worse_persistence"].passed
    tie = of_reference(task, "linear", constant_velocity=paired(0.25, 0.25, (0.9, 1.1)))
    assert not tie["beats_constant_velocity"].passed
    assert not tie["interval_constant_velocity"].passed


@pytest.mark.parametrize("workspace", [("1", NRMSE), ("5", "velocity"), ("25", "velocity")])
def test_two_references_that_are_each_better_elsewhere_do_not_block_each_other(task, workspace):
    """One is better one step ahead, the other at the horizon; one of them must become champion."""
    lines = of_reference(task, "linear", linear_sincos=worse_at(*workspace))
    assert lines["no_worse_linear_sincos"].passed
    assert lines["no_worse_linear_sincos"].expected.endswith("25 steps ahead, in free run")


def test_a_trivial_reference_and_one_that_the_task_does_not_allow_are_nothing_special(task):
    still = of_reference(task, "persistence")
    assert not still["beats_linear"].passed
    only = load_task(task.path, {"promote.allow_reference": False})
    assert not of_reference(only, "linear")["beats_linear"].passed


def test_references_that_this_data_has_none_of_are_said_and_not_asked(task):
    existing = {name: paired(0.1, error) for name, error in BASELINES.items()}
    inputs = GateInputs(
        task, Verification(), references=existing, absent={"physics": "no velocities"}
    )
    lines = {line.rule: line for line in evaluate(inputs)}
    assert lines["beats_physics"].value == "no reference on this data: no velocities"
    assert "interval_physics" not in lines
    alone = load_task(task.path, {"promote.beats": ["physics"]})
    nothing = GateInputs(alone, Verification(), absent={"physics": "no velocities"})
    assert not any(line.passed for line in RULES["beats"](nothing))


def test_a_reference_that_diverges_is_beaten_by_a_finite_model_alone(task):
    away = Paired.of(0.1, INF, comparison(0.1, INF), {})
    pair = Paired.of(INF, INF, comparison(INF, INF), {})
    requested = load_task(task.path, {"promote.beats": ["linear"]})
    for result, passed in ((away, True), (pair, False)):
        inputs = GateInputs(requested, Verification(), references={"linear": result})
        for rule in ("beats", "interval"):
            assert [line.passed for line in RULES[rule](inputs)] == [passed]


def test_an_interval_from_less_than_two_independent_episodes_is_not_printed(task):
    few = worse_at(FREE_RUN, "position", 0.7, 0.1, interval=(1e-9, 1e9), p_worse=0.3)
    few.horizons[FREE_RUN]["position"] = replace(
        few.horizons[FREE_RUN]["position"], effective_n=1.2
    )
    assert verdicts(task, {"linear": few})["no_worse_linear"].value == "position in free run 7 x"
