"""Which action belongs to which step: off by one would still look like learning."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.task.document import Task
from kinemill.train.batches import Batches
from kinemill.train.data import make_windows, window_weights
from kinemill.train.layout import make_layout
from kinemill.train.loop import fit
from tests.conftest import learning_task
from tests.dataset.packing import packed_of
from tests.train.conftest import QUIET, prepared

CHANNELS = {"x": {"role": "state", "unit": "m"}, "u": {"role": "action", "unit": "m"}}


def echo_task(**learn) -> Task:
    """A state that is the last action: x[k+1] = u[k]."""
    usual = {"model": {"type": "mlp", "hidden_sizes": [32]}, "history": 3, "horizon": 4}
    usual |= {"outputs": {"x_next": {"relation": "equal", "of": "x"}}, "steps": 400}
    usual |= {"batch_size": 64, "optimizer": {"lr": 1e-2}, "schedule": {"warmup_steps": 10}}
    return learning_task("echo", 0.1, CHANNELS, usual | learn)


def packed_echo(rows: int = 300, column=None) -> PackedDataset:
    noise = np.random.default_rng(0).standard_normal(2 * rows) if column is None else column
    values = np.stack([np.concatenate([[0.0], noise[:-1]]), noise], axis=1)
    runs = {"train": [values[:rows]], "validation": [values[rows:]]}
    return packed_of("echo", 0.1, CHANNELS, runs)


def test_an_action_acts_from_its_own_row_to_the_next():
    """Row k holds action k; with history 3 and horizon 4 the window is rows 10 to 16."""
    dataset = packed_echo(rows=20, column=np.arange(40.0))
    layout = make_layout(echo_task(), {}, "euler", 3)
    windows = make_windows(dataset, "train", layout, 4)
    states, past, actions, truth = windows.gather(torch.tensor([10]))
    assert states[0, :, 0].tolist() == [9, 10, 11]
    assert past[0, :, 0].tolist() == [10, 11]  # x[k+1] = u[k]: these led to states 10 and 11
    assert actions[0, :, 0].tolist() == [12, 13, 14, 15]
    assert truth[0, :, 0].tolist() == [12, 13, 14, 15]


def test_windows_stay_inside_their_episode_and_reach_its_last_row():
    dataset = packed_echo(rows=20)
    windows = make_windows(dataset, "validation", make_layout(echo_task(), {}, "euler", 3), 4)
    assert windows.starts.tolist() == list(range(20, 34))  # rows 20 to 39, seven at a time


def test_a_system_that_is_nothing_but_its_last_action_is_learned(tmp_path):
    """White noise drives it: any other row tells nothing, and the error would stay at 1 spread."""
    task, dataset = echo_task(), packed_echo()
    state, _ = fit(*prepared(task, dataset), tmp_path, QUIET)
    assert state.best < 0.1


def test_the_same_seed_gives_the_same_weights_and_another_others(tmp_path):
    result = []
    for run, seed in enumerate((4, 4, 5)):
        task, dataset = echo_task(seed=seed, steps=20), packed_echo()
        _, best = fit(*prepared(task, dataset), tmp_path / str(run), QUIET)
        result.append(best["network.head.weight"])
    assert torch.equal(result[0], result[1])
    assert not torch.equal(result[0], result[2])


def weighted_echo() -> PackedDataset:
    """60 rows of weight 0.5 and 20 rows of weight 2.5: by 30 to 50."""
    dataset = packed_echo(rows=80)
    episodes = [
        PackedEpisode("a", "a", "a.csv", "train", 0, 60, weight=0.5),
        PackedEpisode("c", "c", "c.csv", "train", 60, 80, weight=2.5),
        dataset.episodes[1],
    ]
    return replace(dataset, episodes=episodes)


def test_windows_are_drawn_as_often_as_their_episode_weighs():
    """Windows of 7 rows: 54 of the long episode and 14 of the short one, drawn 30 to 50."""
    dataset, task = weighted_echo(), echo_task()
    weights = window_weights(dataset, make_layout(task, {}, "euler", 3), 4)
    assert weights.sum().item() == pytest.approx(68)
    batches = Batches(68, 17, (0,), weights)
    drawn = torch.cat([batches.at(step)[0] for step in range(4 * 50)])
    share = (drawn >= 54).double().mean().item()
    assert share == pytest.approx(50 / 80, abs=0.01)
    counts = torch.bincount(drawn[:68], minlength=68)
    assert ((counts - weights).abs() < 1).all()  # each as often as it weighs, up or down
    assert torch.bincount(drawn, minlength=68).min() > 0  # none is left out for ever


def test_weighted_batches_follow_from_seed_and_step_alone():
    weights = torch.linspace(0.1, 2.0, 40, dtype=torch.float64)
    one, other = (Batches(40, 8, (3, 4), weights) for _ in range(2))
    forwards = [one.at(step) for step in range(12)]
    backwards = [other.at(step) for step in reversed(range(12))]
    assert all(torch.equal(*pair) for pair in zip(forwards, reversed(backwards), strict=True))
    assert not torch.equal(torch.cat(forwards[:5], 1), torch.cat(forwards[5:10], 1))
    assert not torch.equal(forwards[0][0], forwards[0][1])  # each seed has an order of its own
    assert window_weights(packed_echo(), make_layout(echo_task(), {}, "euler", 3), 4) is None
