"""A policy on any logs: differences from the logged actions, computed by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kinemill.errors import BadInput
from kinemill.policies.environments.evaluation import Recorded
from kinemill.policies.environments.logs import write_episode
from kinemill.policies.verification.action_errors import action_curves, measure_logs
from kinemill.policies.verification.evaluation import LogMeasurement, PolicyMeasurement
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task import make_task
from kinemill.train.demonstrations import Demonstrations, Feed
from kinemill.train.policy_runner import as_policy
from kinemill.verify.document import EvaluatedModel
from kinemill.verify.logs import Logs, read_logs
from tests.verify.test_held_out import LAYOUT, Counting


def test_actions_are_compared_with_the_logged_ones(pendulum):
    logs = Logs(Path("logs"), pendulum, ("a.csv",), ())
    policy = as_policy(Counting(0.0))
    held_out = measure_logs(policy, logs)
    torque = pendulum.values[:, 2].astype(np.float64)
    rows = np.concatenate([np.arange(span.start + 1, span.stop) for span in pendulum.of("test")])
    expected = np.sqrt((torque[rows] ** 2).mean())
    assert held_out.errors["model"].rmse == pytest.approx([expected])
    curves = action_curves(policy, Demonstrations(pendulum), held_out, 5, 3)
    on_logs = LogMeasurement(logs, held_out, curves)
    evaluation = PolicyMeasurement(
        "arm", EvaluatedModel(":1", 1, "bundle", "d"), on_logs
    ).document()
    line = evaluation.actions["model"].channels["torque"]
    assert (line.unit, line.rmse) == ("N*m", pytest.approx(expected))
    assert evaluation.trials == {}


def test_differences_are_measured_over_the_episode_and_after_resets(pendulum):
    logs, policy = Logs(Path("logs"), pendulum, ("a.csv",), ()), as_policy(Counting(0.1))
    held_out = measure_logs(policy, logs)
    curves = action_curves(policy, Demonstrations(pendulum), held_out, 4, 30)
    line, torque = curves.channels["torque"], pendulum.values[:, 2].astype(np.float64)
    starts = [span.start + 30 * k for span in pendulum.of("test") for k in range(4)]
    expected = [
        np.sqrt(np.mean([(0.1 * step - torque[start + step]) ** 2 for start in starts]))
        for step in range(4)
    ]
    assert line.by_step == pytest.approx(expected, rel=1e-5)
    first = [row for span in pendulum.of("test") for row in range(span.start + 1, span.start + 6)]
    ages = [
        row - span.start
        for span in pendulum.of("test")
        for row in range(span.start + 1, span.start + 6)
    ]
    off = 0.1 * np.array(ages) - torque[first]
    assert curves.rows[0] == len(first) == 30  # 5 of the 119 rows of each of 6 episodes
    assert line.by_time[0] == pytest.approx(np.sqrt(np.mean(off**2)), rel=1e-5)
    assert curves.seconds[0] == pytest.approx(3 * 0.02)


@pytest.mark.parametrize(
    ("observed", "action", "words"),
    [
        (("angle", "goal"), "torque", "have no goal, which the policy observes"),
        (("angle", "velocity"), "force", "actions: are force; expected torque"),
    ],
)
def test_logs_that_do_not_fit_the_policy_are_refused(pendulum, observed, action, words):
    class Other(Counting):
        def __init__(self):
            super().__init__(0.0)
            units = dict.fromkeys([*observed, action], "1")
            self.layout = PolicyLayout(0.02, observed, (action,), units)

    assert isinstance(Other(), nn.Module)
    assert LAYOUT.actions == ("torque",)
    with pytest.raises(BadInput, match=words):
        measure_logs(as_policy(Other()), Logs(Path("logs"), pendulum, ("a.csv",), ()))


OBSERVED = PolicyLayout(
    0.05,
    ("goal",),
    ("push",),
    {"goal": "m", "push": "N"},
    images={"camera": (4, 4, 3)},
    texts={"instruction": 8},
)
CHANNELS = {
    "goal": {"role": "observation", "unit": "m", "source": "observations/goal"},
    "camera": {"role": "image", "source": "observations/camera"},
    "instruction": {"role": "text", "source": "@instruction"},
    "push": {"role": "action", "unit": "N", "source": "actions[0]"},
}


def test_observations_images_and_texts_of_logs_reach_the_policy(tmp_path, home):
    task = make_task(
        {
            "task": "seen",
            "dt": 0.05,
            "channels": CHANNELS,
            "ingest": {"format": "hdf5", "min_file_age": 0.0},
            "validate": {"min_steps": 5},
            "learn": {
                "type": "imitation",
                "model": {"type": "mlp"},
                "image": {"type": "conv"},
                "text": {"type": "words"},
            },
        }
    )
    random, folder = np.random.default_rng(0), tmp_path / "logs"
    folder.mkdir()
    goals, frames, pushes = (
        random.normal(size=(2, 13, 1)).astype(np.float32),
        random.integers(0, 255, (2, 13, 4, 4, 3), np.uint8),
        random.normal(size=(2, 12, 1)),
    )
    for seed, text in enumerate((b"left\0\0\0\0", b"right\0\0\0")):
        observations = {
            "observation": goals[seed],
            "camera": frames[seed],
            "instruction": np.tile(np.frombuffer(text, np.uint8), (13, 1)),
        }
        write_episode(
            task,
            Recorded(seed, observations, pushes[seed], np.zeros(12), OBSERVED, True, None),
            folder,
        )
    logs = read_logs(task, home, folder)
    data = Demonstrations(logs.rows, logs.media)
    inputs = Feed(data, OBSERVED, torch.device("cpu")).at(torch.tensor([0, 11, 12, 23]))
    assert np.array_equal(inputs["observation"], goals[[0, 0, 1, 1], [0, 11, 0, 11]])
    assert np.array_equal(inputs["camera"], frames[[0, 0, 1, 1], [0, 11, 0, 11]])
    assert [bytes(span.numpy()).rstrip(b"\0") for span in inputs["instruction"]] == [
        *(b"left", b"left", b"right", b"right")
    ]
    assert data.actions[:, 0] == pytest.approx(pushes[:, :, 0].ravel())
