"""A correct policy passes in its environment and on logs, and each fault is reported."""

import copy
import json
import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from benchmarks._balance import DT
from benchmarks._policies import Chooser, Gains, Looking, Sampler, published
from kinemill.errors import Blocked
from kinemill.export.bundle import assemble, seal
from kinemill.export.policy import describe
from kinemill.policies.environments.evaluation import Recorded, Trials
from kinemill.policies.verification.subject import PolicySubject
from kinemill.policies.verification.trials import EnvironmentTrials, compare_episodes, is_tie
from kinemill.store import to_json_value, write_document
from kinemill.train.summary import ModelSummary
from kinemill.verify.bundle import verify_folder
from kinemill.verify.learning_curves import HEADING
from kinemill.verify.report import page
from kinemill.verify.verifier import run_checks, summary, verify_files
from tests.conftest import load_task_in

ENVIRONMENT = {
    "type": "python",
    "path": "benchmarks._balance:Balance",
    "steps": 60,
    "trials": {"episodes": 8},
}


def task_of(tmp_path, **changes):
    text = {
        "task": "cart",
        "dt": DT,
        "learn": {"type": "reinforcement", "algorithm": {"type": "ppo"}},
        "environment": ENVIRONMENT,
    }
    return load_task_in(tmp_path, text | changes)


def subject(module, folder, task):
    return PolicySubject(task, folder, module, describe(module, "cart", "d" * 64))


@pytest.fixture
def balancing(policy_folders, tmp_path):
    return subject(Gains(), policy_folders[Gains], task_of(tmp_path))


def failed(verdict):
    return [line.name for line in verdict.gates if not line.passed]


def test_a_sound_policy_is_verified_in_its_environment(balancing, tmp_path):
    document = verify_files(balancing)
    assert failed(document) == []
    # Gains holds the stick to the end of each episode, chance lets it fall.
    assert document.metrics.returns["model"] == 60.0
    assert document.metrics.returns["random"] < 59.0
    assert document.metrics.success["model"] == 1.0
    assert document.gains["random"].returns[0] > 0.0
    assert document.torch_trials.diverged_at == [None] * 5
    assert document.torch_trials.onnx_returns == document.torch_trials.torch_returns
    assert document.trials["model"].seeds == [1_000_000 + n for n in range(8)]
    assert {row.probe for row in document.parity} == {
        *("recorded observations", "random", "zeros", "limits", "extremes", "many steps")
    }
    assert {row.batch for row in document.parity} >= {1, 7, 256}
    assert {"act", "step"} == set(document.latency_ms)
    assert json.loads(json.dumps(to_json_value(summary(document)), allow_nan=False))["passed"]
    text = page(balancing, document)
    assert "✓ Verified" in text
    assert '"frames":["data:image/webp;base64,' in text  # of the viewer
    assert "http" not in text.replace("http://www.w3.org", "")
    assert HEADING not in text
    curves = {"train/return": [[10, 20.0], [20, 60.0]], "episodes/event/falls": [[10, 1], [20, 0]]}
    (tmp_path / "history.json").write_text(json.dumps(curves))
    summary_ = ModelSummary(parameters=1, monitor="train/return", best=60.0, best_step=20)
    write_document(tmp_path / "summary.json", summary_)
    training = page(replace(balancing, source=tmp_path), document).partition(HEADING)[2]
    assert training.index("The weights are those of step 20") < training.index("falls")


@pytest.mark.parametrize("kind", [Chooser, Sampler, Looking])
def test_what_needs_no_environment_is_verified_for_each_kind(policy_folders, tmp_path, kind):
    task = task_of(tmp_path).model_copy(update={"environment": None})
    verdict = run_checks(subject(kind(), policy_folders[kind], task))
    assert failed(verdict) == []
    names = [line.name for line in verdict.gates]
    assert ("forbidden choices" in names) == (kind is Chooser)


def test_a_return_that_is_no_number_fails(policy_folders, tmp_path):
    environment = ENVIRONMENT | {"arguments": {"broken": True}}
    verdict = verify_files(
        subject(Gains(), policy_folders[Gains], task_of(tmp_path, environment=environment))
    )
    assert failed(verdict) == ["finite returns", "same return"]
    assert math.isnan(verdict.metrics.returns["model"])


class Unlimited(Gains):
    def forward(self, *tensors):
        action, *carry = Gains.forward(self, *tensors)
        return (1.5 * action, *carry)


class NotNormalized(Gains):
    def forward(self, *tensors):
        observation, previous, count = tensors
        action, _, after = super().forward(observation * self.scale, previous * self.scale, count)
        return action, observation, after


def test_file_of_another_policy_than_the_trained_fails(tmp_path):
    folder = published(NotNormalized(), tmp_path / "export")
    assert "policy parity" in failed(run_checks(subject(Gains(), folder, task_of(tmp_path))))


@pytest.mark.ci
def test_file_that_replaces_nan_by_zero_fails(tmp_path):
    folder = published(Gains(), tmp_path / "export")
    model = onnx.load(folder / "policy.onnx")
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "observation":
                node.input[index] = "observation.sound"
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "observation.zero")
    model.graph.initializer.append(zero)
    isnan = onnx.helper.make_node("IsNaN", ["observation"], ["observation.nan"])
    inputs = ["observation.nan", "observation.zero", "observation"]
    where = onnx.helper.make_node("Where", inputs, ["observation.sound"])
    nodes = [isnan, where, *copy.deepcopy(list(model.graph.node))]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, folder / "policy.onnx")
    seal(folder)
    verdict = run_checks(subject(Gains(), folder, task_of(tmp_path)))
    assert "NaN stays in its row" in failed(verdict)


def test_a_file_that_says_something_else_than_the_trained_policy_is_named(policy_folders, tmp_path):
    module = Gains()
    module.layout = replace(module.layout, dt=0.03)
    verdict = run_checks(subject(module, policy_folders[Gains], task_of(tmp_path)))
    line = next(line for line in verdict.gates if line.name == "metadata")
    assert (line.passed, line.value) == (False, "differs in layout")


def test_a_file_of_one_batch_alone_is_blocked(policy_folders, tmp_path):
    model = onnx.load(policy_folders[Gains] / "policy.onnx")
    for item in (*model.graph.input, *model.graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, tmp_path / "policy.onnx")
    shutil.copy(policy_folders[Gains] / "io.yaml", tmp_path)
    seal(tmp_path)
    with pytest.raises(Blocked, match=r"observation has a fixed batch size.*files that run"):
        run_checks(subject(Gains(), tmp_path, task_of(tmp_path)))


def test_a_folder_alone_is_tried_and_a_broken_one_refused(policy_folders, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    assemble(folder, policy_folders[Chooser])
    result = verify_folder(folder)
    assert [line.name for line in result.gates if not line.passed] == []
    assert result.task == "cart"
    wrong = published(Unlimited(), tmp_path / "wrong")
    result = verify_folder(wrong)
    assert [line.name for line in result.gates if not line.passed] == [
        *("limits of actions", "observations out of range")
    ]


def recorded(angles, forces):
    observed = np.zeros((len(angles), 3), np.float32)
    observed[:, 1] = angles
    actions = np.array(forces, np.float32)[:, None]
    rewards = np.ones(len(forces))
    return Recorded(7, {"observation": observed}, actions, rewards, Gains().layout, True, None)


def test_episodes_are_followed_until_they_part():
    said = describe(Gains(), "cart", "d")
    episode = recorded([0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0])
    assert compare_episodes(episode, episode, said) == (None, "")
    near = recorded([0.1, 0.2 + 1e-7, 0.3, 0.4], [1.0, 2.001, 3.0])
    assert compare_episodes(episode, near, said) == (None, "")  # 1 mN of 10 N is rounding
    # Once something else is observed, something else may be done.
    assert compare_episodes(episode, recorded([0.1, 0.2, 0.35, 0.9], [1.0, 2.0, 9.0]), said) == (
        2,
        "",
    )
    step, message = compare_episodes(episode, recorded([0.1, 0.2, 0.3, 0.4], [1.0, 2.5, 3.0]), said)
    assert (step, message) == (1, "seed 7, step 1: force differs after equal observations")
    shorter = recorded([0.1, 0.2, 0.3], [1.0, 2.0])
    assert compare_episodes(episode, shorter, said) == (2, "")


@pytest.mark.parametrize(
    ("angle", "choices", "expected"),
    [(0.2 + 1e-7, (2,), True), (0.2 - 1e-7, (2,), True), (0.21, (2,), False), (0.2, (0,), False)],
)
def test_choice_is_a_tie_if_rounding_of_the_observation_makes_it(angle, choices, expected):
    """The policy chooses 1 behind 0.2; the episode has the other choice."""

    def step(inputs, carry):
        return (inputs["observation"][:, 1:2] > 0.2).astype(np.int64), carry

    policy = SimpleNamespace(
        interface=SimpleNamespace(choices=choices, layout=Gains().layout),
        initial_carry=lambda count: (np.zeros((count, 1)),),
        step=step,
    )
    other = 0 if angle > 0.2 else 1
    episode = recorded([0.1, 0.15, angle, 0.4], [0, 0, other])
    assert is_tie(policy, episode, 2) == expected


def test_returns_of_parted_episodes_may_differ_by_chance_alone():
    def trials(*returns):
        return Trials(returns, (), (9,) * len(returns), tuple(range(len(returns))))

    def same(model, torch, parted):
        result = EnvironmentTrials(model, model, torch, parted, []).gates()
        return next(line.passed for line in result if line.name == "same return")

    std = trials(10.0, 30.0, 20.0, 15.0, 25.0)
    assert same(std, trials(10.0, 30.0), [None, None])
    assert not same(std, trials(10.0, 31.0), [None, None])
    assert same(std, trials(10.0, 31.0), [None, 4])
    assert not same(std, trials(-40.0, -40.0), [3, 4])
    assert not same(std, trials(10.0, float("nan")), [None, 4])
