"""Asked to go on: with the training that was interrupted, or a refusal that says what changed."""

import pytest

from kinemill.errors import BadInput
from kinemill.store import ArtifactRef
from kinemill.task.protocols import NullReporter
from kinemill.train import TrainingJob
from kinemill.train import stage as train
from kinemill.train.checkpoint import checkpoints, step_of
from kinemill.train.resume import latest_unfinished
from tests.train.conftest import QUIET, Recorder, pendulum_task, publish


def interrupt(task, home, ref):
    with pytest.raises(KeyboardInterrupt):
        train.run(task, home, ref, ref, (NullReporter(), Recorder(50)))


@pytest.fixture
def stopped(home, packed):
    """A training that was interrupted at step 50, after checkpoints at 20 and 40."""
    ref = publish(home, packed)
    interrupt(pendulum_task(patience=None), home, ref)
    return ref


def test_the_same_settings_and_data_go_on(home, stopped):
    # What does not change the weights may change.
    task = pendulum_task(patience=None, log_every=5, save_every=10, keep={"every": 15})
    TrainingJob(task, home, stopped, stopped).check_resume()
    train.run(task, home, stopped, stopped, QUIET)
    remaining = checkpoints(TrainingJob(task, home, stopped, stopped).folder)
    steps = [step_of(position) for position in remaining]
    assert steps == [20, 40, 45, 60]  # these stay when it is over
    assert latest_unfinished(home, "pendulum") is None
    TrainingJob(task, home, stopped, stopped).check_resume()  # it is over, and its model is known


def test_other_settings_are_named_with_both_values(home, stopped):
    other = pendulum_task(patience=3, seed=1, model={"type": "gru", "hidden_size": 8})
    with pytest.raises(BadInput) as refused:
        TrainingJob(other, home, stopped, stopped).check_resume()
    messages = str(refused.value)
    assert "stopped after step 40" in messages
    for change in (
        "learn.seed: 0 -> 1",
        "learn.patience: null -> 3",
        "learn.model.type: mlp -> gru",
        "learn.model.hidden_sizes: [16] -> not there",
        "learn.model.hidden_size: not there -> 8",
    ):
        assert change in messages
    assert "learn.steps" not in messages
    assert "start again without --resume" in messages


def test_other_data_is_named(home, stopped):
    data = (stopped, ArtifactRef(stopped.path, "f" * 64))
    with pytest.raises(BadInput, match=rf"training_set: {stopped.digest[:12]}\S* -> ffff"):
        TrainingJob(pendulum_task(patience=None), home, *data).check_resume()


def test_the_latest_of_several_counts_and_those_of_others_do_not(home, stopped):
    first, second = pendulum_task(patience=None), pendulum_task(patience=None, seed=7)
    interrupt(second, home, stopped)
    TrainingJob(second, home, stopped, stopped).check_resume()
    with pytest.raises(BadInput, match=r"learn\.seed: 7 -> 0"):
        TrainingJob(first, home, stopped, stopped).check_resume()
    mine = [TrainingJob(first, home, stopped, stopped).folder.name]
    TrainingJob(first, home, stopped, stopped).check_resume(among=mine)


def test_nothing_to_go_on_with_is_an_error(home, packed):
    ref = publish(home, packed)
    with pytest.raises(BadInput, match="no training of pendulum was interrupted"):
        TrainingJob(pendulum_task(), home, ref, ref).check_resume()
