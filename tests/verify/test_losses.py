"""Losses of a model: single comparisons, Holm's procedure, and comparisons that do not count."""

import math

import numpy as np
import pytest

from kinemill.task import load_task
from kinemill.task.promote import FREE_RUN, Promote
from kinemill.verify.comparison import NRMSE, Comparison
from kinemill.verify.losses import counted_horizons, holm, losses

NAN, INF = math.nan, math.inf


def one(error, reference=0.5, low=NAN, p_worse=NAN):
    return Comparison(error, reference, low, NAN, 8.0, "blocks", NAN, p_worse)


FINE = one(0.4, low=0.7, p_worse=0.99)


def lost(result, *, horizon="1", channel="speed", horizons=("1",), channels=None):
    """Return the losses of a model that is worse in one comparison."""
    history = {key: {NRMSE: FINE, "angle": FINE} for key in horizons}
    history[horizon] = history[horizon] | {channel: result}
    return [
        (loss.horizon, loss.channel, loss.why)
        for loss in losses({"linear": history}, horizons, channels)["linear"]
    ]


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (one(0.5), None),  # a tie without an interval
        (one(0.99), None),  # without an interval twice the error is not called a loss
        (one(1.01), "gross"),
        (one(0.55, low=1.05, p_worse=0.001), "significant"),
        (one(0.55, low=0.9, p_worse=0.2), None),
        (one(1.5, low=0.8, p_worse=0.2), None),  # so wide an interval holds a tie
        (one(1.5, low=1.1, p_worse=0.2), "gross"),
        (one(INF), "diverges"),
        (one(NAN), "diverges"),
        (one(0.4, INF), None),  # the reference diverges: it is none there
        (one(INF, INF), None),
        (one(NAN, NAN), None),  # a channel that never moves in training has no error
        (one(0.0, 0.0), None),
        (one(0.1, 0.0), "gross"),
    ],
)
def test_one_comparison(result, why):
    assert lost(result) == ([("1", "speed", why)] if why else [])


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (one(0.85, 0.79, low=1.05, p_worse=1e-4), "significant"),  # the reference has skill
        (one(1.2, 0.9, low=1.2, p_worse=1e-4), None),  # none has: both are no better than a guess
        (one(2.6, 0.9, low=2.5, p_worse=1e-4), None),
        (one(2.8, 0.9, low=2.5, p_worse=1e-4), "gross"),  # over three times a bounded error
        (one(INF, 0.9), "diverges"),
        (one(5.0, INF), None),
    ],
)
def test_whole_episodes_count_where_a_reference_has_skill(result, why):
    expected = [(FREE_RUN, "speed", why)] if why else []
    assert lost(result, horizon=FREE_RUN, horizons=("1", FREE_RUN)) == expected
    if why == "significant":
        assert lost(result) == [("1", "speed", why)]


def test_what_was_not_compared_is_a_loss():
    missing = losses({"linear": {"1": {NRMSE: FINE}}}, ("1", "25"))["linear"]
    assert [(loss.horizon, loss.why) for loss in missing] == [("25", "not measured")]
    unknown = losses({"linear": {"1": {NRMSE: one(NAN, NAN)}}}, ("1",))["linear"]
    assert [(loss.horizon, loss.why) for loss in unknown] == [("1", "not measured")]
    assert lost(FINE, channels=("angle", "torque")) == [("1", "torque", "not measured")]


def test_the_task_says_which_channels_and_horizons_do_not_matter():
    bad = one(0.9, low=1.5, p_worse=1e-6)
    assert lost(bad) == [("1", "speed", "significant")]
    assert lost(bad, channels=("angle",)) == []
    assert lost(bad, horizon=FREE_RUN, horizons=("1", FREE_RUN)) != []
    history = {"1": {NRMSE: FINE}, FREE_RUN: {NRMSE: bad}}
    assert losses({"linear": history}, ("1",)) == {"linear": []}


def test_horizons_by_default_are_one_step_the_root_the_horizon_and_whole_episodes(tmp_path):
    assert counted_horizons(Promote(), 25) == ("1", "5", "25", FREE_RUN)
    assert counted_horizons(Promote(), 1) == ("1", FREE_RUN)
    assert counted_horizons(Promote(horizons=[FREE_RUN, 10, 2]), 25) == ("2", "10", FREE_RUN)
    assert counted_horizons(Promote(horizons=[10]), 25) == ("10",)


def test_holm_rejects_as_in_the_paper():
    """Holm 1979, section 2: 0.01 <= 0.05 / 4 and 0.015 <= 0.05 / 3, but 0.03 > 0.05 / 2."""
    assert holm([0.03, 0.01, 0.015, 0.04]) == [False, True, True, False]
    assert holm([]) == []
    assert holm([NAN, 0.01]) == [False, True]


def test_a_false_loss_among_a_hundred_comparisons_is_as_rare_as_promised():
    """For equal models and any number of comparisons, 5 % of the tests have a false loss."""
    rng = np.random.default_rng(0)
    rounds, count = 4000, 100
    independent = sum(any(holm(rng.random(count).tolist())) for _ in range(rounds))
    joint = sum(any(holm([rng.random()] * count)) for _ in range(rounds))
    # 4,000 draws of 5 % scatter by 0.35 percentage points (one standard deviation).
    assert abs(independent / rounds - 0.05) < 0.015
    assert joint / rounds < 0.05


def test_many_comparisons_ask_for_more_evidence_each():
    slightly = one(0.55, low=1.01, p_worse=0.01)
    assert lost(slightly) == [("1", "speed", "significant")]
    many = {str(step): {NRMSE: FINE, "speed": FINE} for step in range(1, 11)}
    history = {**many, "1": {NRMSE: FINE, "speed": slightly}}
    assert losses({"linear": history}, list(history))["linear"] == []


def test_a_task_cannot_ask_for_more_steps_than_are_measured(tmp_path):
    from kinemill.errors import TaskError

    path = tmp_path / "cart.yaml"
    path.write_text(
        "task: cart\ndt: 0.02\nchannels:\n  position: {role: state, unit: m}\n"
        "  force: {role: action, unit: N}\nlearn: {type: dynamics, model: {type: mlp}}\n"
        "promote: {horizons: [5, 30, free_run], channels: [positon]}\n"
    )
    with pytest.raises(TaskError) as message:
        load_task(path)
    assert "promote.horizons: 30 steps are more than verify.horizon, 25" in str(message.value)
    assert "'positon' is not a state" in str(message.value)
    assert "position" in str(message.value)
