"""Several robots with one trunk: two that answer an action with opposite signs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.errors import BadInput
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.loop import fit
from tests.train.conftest import CPU, QUIET, prepared, publish
from tests.train.test_data import echo_task, packed_echo

pytestmark = pytest.mark.ci

ROWS = 300


def two_robots():
    """x[k+1] = u[k] of the task's own robot, x[k+1] = -u[k] of the other; validation of its own."""
    dataset = packed_echo(ROWS)
    own = np.asarray(dataset.values)
    other = own[:ROWS] * np.array([-1.0, 1.0])
    first, last = dataset.episodes
    episodes = [first, replace(last, start=2 * ROWS, stop=3 * ROWS)]
    episodes.insert(1, replace(first, id="c", start=ROWS, stop=2 * ROWS, task="mirrored"))
    values = np.concatenate([own[:ROWS], other, own[ROWS:]]).astype(np.float32)
    return replace(dataset, episodes=episodes, segments=[values])


def model_trained(folder, **learn):
    task, dataset = echo_task(**learn), two_robots()
    return fit(*prepared(task, dataset), folder, QUIET)[0].best


@pytest.mark.parametrize("extra", [{}, {"ensemble": 2}])
def test_robots_of_opposite_gain_are_learned_together_if_they_are_told_apart(tmp_path, extra):
    """Without a past to see it in, the best guess is the mean of both: an error of one spread."""
    messages = {"history": 1, "robots": "embedding", **extra}
    assert model_trained(tmp_path / "told", **messages) < 0.2
    if not extra:
        assert model_trained(tmp_path / "untold", history=1) > 0.9


def test_what_is_published_is_of_the_tasks_own_robot(home):
    task, ref = echo_task(history=1, robots="embedding"), publish(home, two_robots())
    step = load_model(home.root / train.run(task, home, ref, ref, QUIET).ref.path)
    states, past = torch.zeros(1, 1, 1), torch.zeros(1, 0, 1)
    with torch.no_grad():
        result = step.rollout(states, past, torch.full((1, 1, 1), 0.7)).item()
    assert result == pytest.approx(0.7, abs=0.2)


def test_one_robot_alone_is_not_told_apart():
    task, dataset = echo_task(robots="embedding"), packed_echo()
    with pytest.raises(BadInput, match=r"all episodes belong to echo.*dataset\.join"):
        task.learn.prepare(task, dataset, dataset, CPU)


def test_a_model_in_closed_form_is_of_one_robot():
    task, dataset = echo_task(robots="embedding", model={"type": "linear"}), two_robots()
    with pytest.raises(BadInput, match="closed form"):
        task.learn.prepare(task, dataset, dataset, CPU)
