"""Faults known in public trainers of models and policies: one test each, so that none is ours."""

from dataclasses import replace

import torch

from kinemill.dataset import PackedEpisode
from kinemill.task.document import Task
from kinemill.train.layout import layout_of
from kinemill.train.loop import fit
from kinemill.train.scaling import scale_of
from tests.train.conftest import QUIET, pendulum_task, ready


def test_limits_of_a_channel_do_not_scale_its_features(packed):
    task = pendulum_task()
    velocity = task.channels["velocity"].model_copy(update={"limits": (-2.0, 0.0)})
    channels = task.channels | {"velocity": velocity}
    limited = Task.model_validate({**task.model_dump(by_alias=True), "channels": channels})
    assert limited.channels["velocity"].limits == (-2.0, 0.0)
    one, other = (scale_of(packed, layout_of(own)) for own in (task, limited))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_fewer_windows_than_a_batch_are_learned_from(packed, tmp_path):
    """Twelve rows hold six windows of seven; a batch of 256 of them is those six."""
    train = PackedEpisode("a", "a", "a.csv", "train", 0, 12)
    validation = PackedEpisode("b", "b", "b.csv", "validation", 150, 200)
    short = replace(packed, episodes=[train, validation])
    module, objective, learn = ready(short, batch_size=256, steps=30)
    assert objective.windows == 6
    state, _ = fit(module, objective, learn, tmp_path, QUIET)
    losses = [value for _, value in state.history["train/loss"]]
    assert state.step == 30
    assert losses[-1] < losses[0]
