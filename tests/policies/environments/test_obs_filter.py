"""A policy that sees a part of what its environment shows, in an order of its own."""

import h5py
import numpy as np
import pytest
import torch

from kinemill.export.policy import describe, write_policy
from kinemill.ingest import stage as ingest
from kinemill.policies.environments.evaluation import try_policy
from kinemill.policies.environments.obs_filter import narrowed
from kinemill.policies.environments.rollout_logs import demonstrations, record_videos
from kinemill.policies.environments.video import record_video
from kinemill.policies.verification.episode_inputs import recorded_probe
from kinemill.policies.verification.subject import PolicySubject
from kinemill.runtime import load
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task import load_task
from kinemill.train.policy import PolicyModule
from kinemill.train.policy_runner import as_policy
from kinemill.verify.verifier import run_checks
from tests.conftest import EXAMPLES

LIMITS = {"x_command": (-0.5, 0.5), "y_command": (-0.5, 0.5)}
GOAL = np.float32([0.3, -0.2])  # m
UNITS = {"x": "m", "y": "m"} | dict.fromkeys(LIMITS, "m/s")


class Homing(PolicyModule):
    """To the goal, as fast as it is far: sees y before x, the camera, none of the rates shown."""

    def __init__(self) -> None:
        images, subset = {"camera": (64, 64, 3)}, ("y", "x")
        super().__init__(PolicyLayout(0.05, subset, tuple(LIMITS), UNITS, LIMITS, images=images))
        self.goal = torch.nn.Parameter(torch.from_numpy(GOAL))

    @property
    def carry_shapes(self):
        return ()

    def forward(self, *tensors):
        observation, camera = tensors
        light = camera.float().amax(dim=(1, 2, 3)).clamp(0.0, 1.0)[:, None]
        return (((self.goal - observation.flip(1)) * light).clamp(-0.5, 0.5),)


@pytest.fixture(scope="module")
def task():
    changed = {"environment.steps": 12, "environment.trials": {"episodes": 5, "n_eval_episodes": 1}}
    changed |= {"environment.dart_noise": 0.0}  # of who demonstrates
    return load_task(EXAMPLES / "targets.yaml", changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("homing")
    write_policy(Homing(), describe(Homing(), "targets", "d" * 64), folder)
    return folder


def homes(run):
    """All four numbers are recorded, and what was done follows from the first two, in order."""
    position = run.observations["observation"][:-1, :2]
    assert run.layout.observation == ("x", "y", "x_rate", "y_rate")
    assert run.observations["observation"].shape == (13, 4)
    assert run.actions == pytest.approx(np.clip(GOAL - position, -0.5, 0.5), abs=1e-6)


def test_it_is_tried_alone_and_by_several_processes(task, folder):
    alone = try_policy(task, load(folder), [3, 4], record=2)
    for run in alone.episodes:
        homes(run)
    in_torch = try_policy(task, as_policy(Homing()), [3, 4], record=2)
    assert in_torch.returns == pytest.approx(alone.returns)


def test_it_is_verified_and_tried_on_what_it_met(task, folder):
    module = Homing()
    subject = PolicySubject(task, folder, module, describe(module, "targets", "d" * 64))
    assert [line for line in run_checks(subject).gates if not line.passed] == []
    trials = subject.trials
    assert trials.diverged_at == [None] * 5
    satisfied = recorded_probe(trials.model.episodes, subject.policy.interface)
    first = trials.model.episodes[0].observations
    assert list(satisfied.inputs) == ["observation", "camera"]
    assert (satisfied.inputs["observation"][0] == first["observation"][:12, [1, 0]]).all()
    assert (satisfied.inputs["camera"][0] == first["camera"][:12]).all()
    assert subject.probes[0].name == "recorded observations"


def test_it_is_recorded(task, folder, tmp_path):
    assert record_video(task, load(folder), 3).pictures.shape[0] == 13
    videos = record_videos(task, load(folder), [3], tmp_path)
    assert [video.rpartition("/")[2] for video in videos] == ["targets-000003.mp4"]


def test_its_logs_hold_all_that_was_shown_and_ingest_reads_them(task, folder, home):
    logs = home.logs("targets")
    (full,) = list(demonstrations(task, logs, [3], expert=load(folder), failures=True))
    with h5py.File(full.file) as file:
        position, rates = (file[f"episode_0/observations/{name}"][:] for name in ("place", "rates"))
        expected = np.clip(GOAL - position, -0.5, 0.5)
        assert file["episode_0/actions"][:] == pytest.approx(expected, abs=1e-6)
    assert (rates[-1] * GOAL > 0).all()  # m/s, on its way there
    assert [entry["outcome"] for entry in ingest.run(task, home, logs).files] == ["episodes"]


def test_names_that_are_not_shown_leave_everything_in_its_place():
    full, subset = (PolicyLayout(0.1, tuple(names), (), {}) for names in ("abc", "cb"))
    whole = np.arange(6.0).reshape(2, 3)  # two steps
    assert (narrowed(whole, subset, full) == whole[:, [2, 1]]).all()
    assert narrowed(whole, PolicyLayout(0.1, tuple("qb"), (), {}), full) is whole
    assert narrowed(whole, full, full) is whole
