"""Statistics of a training as it runs: the line, the table, and the same numbers as metrics."""

import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

from kinemill.policies.environments.evaluation import Trials
from kinemill.policies.environments.vector_env import EPISODE, Rows
from kinemill.policies.rl.episode_stats import EpisodeStats
from kinemill.policies.rl.statistics import (
    Distribution,
    evaluation_distributions,
    evaluation_text,
    training_distributions,
)
from kinemill.task.protocols import NullReporter
from kinemill.tracking.statistics import is_statistics, text_for
from tests.policies.environments.plants import Point
from tests.policies.rl.test_training_loop import POINT, rl_task
from tests.policies.rl.test_vec_env import PointBatch

EPISODES = [
    {"return": -4.0, "length": 10.0, "event/pushed": 2.0, "action/0/mean": 0.5, "action/0/std": 1.0}
    | {"action/0/min": -2.0, "action/0/max": 1.0},
    {"return": -2.0, "length": 6.0, "action/0/mean": 0.1, "action/0/std": 0.5}
    | {"action/0/min": -1.0, "action/0/max": 2.0},
]


def test_the_table_has_returns_lengths_actions_and_events():
    distributions = training_distributions(EPISODES, ["push"])
    assert distributions["train return"] == Distribution(-3.0, 1.0, -4.0, -2.0)
    assert distributions["train length"] == Distribution(8.0, 2.0, 6.0, 10.0)
    assert distributions["action push"] == Distribution(
        0.3, 0.75, -2.0, 2.0
    )  # over all steps: the extremes
    assert distributions["event pushed"] == Distribution(1.0, 1.0, 0.0, 2.0)
    assert training_distributions([], ["push"]) == {}

    trials = Trials((1.0, 3.0), (True, False), (4, 8), (0, 1))
    text = evaluation_text(
        evaluation_distributions(trials) | distributions,
        step=2048,
        pace=1234.5,
        count=2,
        success=0.5,
        is_best=True,
    )
    line, head, *rows = text.splitlines()
    assert line == (
        "statistics at step 2,048: return 2 std 1 min 1 max 3, length 6, success 50%, "
        "2 training episodes, 1,234 steps/s, new best policy"
    )
    assert head.split() == ["mean", "std", "min", "max", "histogram"]
    assert [row.split() for row in rows if row.startswith("action")] == [
        ["action", "push", "0.3", "0.75", "-2", "2"]
    ]
    assert len({len(row) for row in [head, *rows]}) == 1
    assert next(row for row in rows if row.startswith("event")).endswith("2  █      █ ")


def test_histogram_of_events_has_the_most_frequent_bin_as_the_highest_bar():
    values = [*[0.0] * 8, *[1.0] * 4, 7.0]
    assert Distribution.of(values).counts == (8, 4, 0, 0, 0, 0, 0, 1)
    assert Distribution.of(values).bars == "█▄     ▁"
    last_bit = [0.1 + 0.2, 0.3]  # as returns whose rewards were added in another order
    assert Distribution.of(last_bit).counts == (1, 0, 0, 0, 0, 0, 0, 1)
    assert Distribution.of([3.0, float("nan")]).bars == " " * 8


def test_a_pipe_gets_the_line_and_a_terminal_the_table():
    message = "statistics at step 1: return 2\n   mean\n"
    assert is_statistics(message)
    assert not is_statistics("peak memory: 1 GiB")
    assert text_for(message, is_terminal=False) == "statistics at step 1: return 2"
    assert text_for(message, is_terminal=True) == message


def test_extremes_of_actions_are_those_of_one_episode_in_both_runners():
    environment = EpisodeStats(TimeLimit(Point(edge=9.0), 2))
    environment.reset(seed=0)
    for push in (1.0, -0.5):
        *_, info = environment.step(np.float32([push]))
    summary = info[EPISODE]
    assert (summary["action/0/min"], summary["action/0/max"]) == (-0.5, 1.0)
    rows = Rows(PointBatch(), 2, 2)
    rows.reset([0, 1])
    for first, ends in ((1.0, (-0.5, 1.0)), (0.25, (-0.5, 0.25))):  # of each episode alone
        rows.step(np.array([[first], [0.0]]))
        infos = rows.step(np.array([[-0.5], [0.0]]))[3]
        stats = infos[0][EPISODE]
        assert (stats["action/0/min"], stats["action/0/max"]) == ends


class RecordingReporter(NullReporter):
    """Keeps messages and metrics."""

    def __init__(self):
        self.messages, self.metrics = [], []

    def log_message(self, message):
        self.messages.append(message)

    def log_metrics(self, metrics, step):
        self.metrics.append((step, metrics))


def test_each_evaluation_has_a_table_and_the_same_metrics(home):
    from kinemill.policies.environments.card import make_card
    from kinemill.train import stage as train

    reporter = RecordingReporter()
    task = rl_task(POINT, steps=128, eval_every=64)
    card = make_card(task, home).ref
    train.run(task, home, card, card, (reporter, reporter))
    tables = [message for message in reporter.messages if is_statistics(message)]
    assert len(tables) == 2
    assert "new best policy" in tables[0]
    assert "event pushed" in tables[0]  # a number in `info`
    metrics = [values for _, values in reporter.metrics if "evaluation/return" in values]
    names = {"episodes/evaluation_std", "episodes/evaluation_min", "episodes/evaluation_max"}
    names |= {"episodes/return_std", "episodes/return_min", "episodes/return_max"}
    names |= {"episodes/action/action_0/min", "episodes/event/pushed", "steps_per_second"}
    assert names <= set(metrics[0])
    assert f"return {metrics[0]['evaluation/return']:.4g} std" in tables[0]
    assert metrics[0]["episodes/evaluation_min"] <= metrics[0]["evaluation/return"]
    assert metrics[0]["episodes/return_max"] == pytest.approx(
        float(next(row for row in tables[0].splitlines() if "train return" in row).split()[5]),
        rel=1e-3,
    )
