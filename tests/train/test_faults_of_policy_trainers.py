"""Faults known in public trainers of policies: a test named after each, so that none is ours.

Longer tests are in other files: every head through ONNX in `test_imitation`, killed and
resumed reinforcement in `test_reinforcement`, demonstrations by several workers in
`tests/environments/test_planar`, rollouts by several in `tests/cli/test_rollout_policies`.
"""

import ast
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.environments.demonstrations import demonstrations as demonstrate
from kinemill.errors import BadInput
from kinemill.export.policy import describe, write_policy
from kinemill.runtime import load
from kinemill.task import load_task
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter
from kinemill.train import TrainingJob
from kinemill.train.checkpoint import read_checkpoint
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.loop import fit
from kinemill.train.policy_runner import as_policy
from tests.conftest import EXAMPLES, ROOT
from tests.rl.test_training_loop import rl_task, site_of
from tests.train.cloning import demonstrations, packed, policy_task
from tests.train.conftest import publish

QUIET, CPU = (NullReporter(), NullReporter()), torch.device("cpu")
RANDOM = {"model": {"type": "mlp", "hidden_sizes": [16], "dropout": 0.3}, "patience": None}


def made(task=None, data=None, **learn):
    task, data = task or policy_task(**learn), data or demonstrations()
    return task, *task.learn.prepare(task, data, data, CPU)


def imported(path):
    """Yield the modules of this project that a file imports, with their names in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_a_data_module_that_is_missing():
    """An import of a module that `.gitignore` kept out, as `data/` of so many, worked at home."""
    expected = {
        name
        for folder in ("kinemill", "assets", "resources", "pipelines", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for name in imported(path)
        if name.split(".")[0] in ("kinemill", "assets", "resources", "pipelines", "benchmarks")
    }
    positions = {name: ROOT.joinpath(*name.split(".")) for name in expected}
    files = [
        position / "__init__.py" if position.is_dir() else position.with_suffix(".py")
        for position in positions.values()
    ]
    assert len(files) > 300
    assert [file for file in files if not file.is_file()] == []
    if (ROOT / ".git").exists():
        listed = "\n".join(str(file.relative_to(ROOT)) for file in files)
        ignored = subprocess.run(
            ["git", "check-ignore", "--stdin"],
            cwd=ROOT,
            input=listed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ignored.returncode, ignored.stdout) == (1, "")  # 1: none is ignored


@pytest.mark.parametrize("chunk", [{"length": 1}, {"length": 4, "n_action_steps": 2}])
def test_a_diffusion_head_that_crashes(chunk, tmp_path):
    """From a batch of one, of what is left of an epoch, and acting: the actions are numbers."""
    head = {"type": "diffusion", "steps": 2, "width": 16, "condition": 8}
    data = demonstrations(rows=12, runs=3)  # 36 sequences are a batch of 16, of 16, and of 4
    learn = {"head": head, "chunk": chunk, "steps": 6, "eval_every": 3, "save_every": 3}
    task, module, objective = made(data=data, **learn)
    state, _ = fit(module, objective, task.learn, tmp_path, QUIET)
    assert np.isfinite([value for _, value in state.history["train/loss"]]).all()
    assert torch.isfinite(objective.loss(torch.tensor([[0]]), 0))
    policy = as_policy(module)
    policy.reset(3)
    assert np.isfinite([policy.act([0.1 * k, 0.0]) for k in range(5)]).all()


class Stop(NullReporter):
    def advance(self, stage, done, total, note=""):
        if done >= 30:
            raise KeyboardInterrupt


def followed(folder, listeners=QUIET):
    """Train; return the weights, and each step with the windows that it was about."""
    task, module, objective = made(**RANDOM)
    inputs = []

    def loss(which, step, *position):
        inputs.append((step, which.flatten().tolist()))
        return objective.loss(which, step, *position)

    try:
        fit(module, replace(objective, loss=loss), task.learn, folder, listeners)
    except KeyboardInterrupt:
        assert read_checkpoint(folder)[1]["step"] == 20
    return {name: value.clone() for name, value in module.state_dict().items()}, inputs


def test_a_resume_that_is_one_step_off_and_without_its_random_state(tmp_path):
    """With dropout: steps 20 to 39 see the batches, and the weights the draws, of one training."""
    whole, steps = followed(tmp_path / "whole")
    followed(tmp_path / "cut", (NullReporter(), Stop()))
    torch.manual_seed(12345)  # another process has drawn other numbers
    weights, again = followed(tmp_path / "cut")
    assert [step for step, _ in steps] == list(range(40))
    assert again == steps[20:]
    for name, value in whole.items():
        assert torch.equal(weights[name], value), name


def test_weights_alone_that_are_called_a_resume(tmp_path, home):
    """Weights of step 20 without the optimizer's moments end elsewhere; so they are no resume."""
    whole, _ = followed(tmp_path / "whole")
    followed(tmp_path / "cut", (NullReporter(), Stop()))
    groups, state = read_checkpoint(tmp_path / "cut")
    assert {"weights", "best", "optimizer"} <= set(groups)
    assert state["step"] == 20
    task, module, objective = made(**RANDOM)
    module.load_state_dict(groups["weights"])
    shifted = replace(
        objective, loss=lambda which, step, *at: objective.loss(which, step + 20, *at)
    )
    fit(module, shifted, task.learn.model_copy(update={"steps": 20}), tmp_path / "else", QUIET)
    assert any(not torch.equal(module.state_dict()[name], value) for name, value in whole.items())
    dataset = publish(home, demonstrations().packed)
    with pytest.raises(BadInput, match="no training of arm was interrupted after a checkpoint"):
        TrainingJob(task, home, dataset, dataset).check_resume()


@pytest.mark.parametrize("ends", [None, 3])
def test_a_truncation_that_is_treated_as_terminal(ends):
    """At the time limit, the reward includes the critic's value: 1 + 0.8 x 10."""
    where = {"type": "python", "path": "tests.environments.plants:Steady", "steps": 3}
    where["arguments"] = {"ends": ends} if ends else {}
    algorithm = {"type": "a2c", "gamma": 0.8, "n_steps": 6}
    task = rl_task(where, algorithm, num_envs=1)
    learner = task.learn.algorithm.learner(site_of(task))
    with torch.no_grad():
        learner.model.policy.value_net.weight.zero_()
        learner.model.policy.value_net.bias.fill_(10.0)
    learner.advance(6, 0)
    last = 1.0 if ends else 9.0
    assert learner.model.rollout_buffer.rewards[:, 0].tolist() == [1.0, 1.0, last] * 2


def test_a_normalization_that_is_lost_at_deployment(tmp_path):
    """Torques of 100 to 200 N·m: the file alone gives them for angles in rad, not spreads."""

    def run(seed):
        random = np.random.default_rng(seed)
        inputs = random.uniform([-1, -300], [1, 300], (60, 2))
        return np.c_[inputs, 150.0 + 40.0 * inputs[:, 0] + 0.03 * inputs[:, 1]]

    splits = {"train": [run(k) for k in range(3)], "validation": [run(90)], "test": [run(91)]}
    messages = policy_task(steps=300, batch_size=64, eval_every=100, optimizer={"lr": 1e-2})
    messages = messages.model_dump(mode="json", by_alias=True)
    messages["channels"]["torque"]["limits"] = [-300, 300]
    task, module, objective = made(Task.model_validate(messages), Demonstrations(packed(splits)))
    _, best = fit(module, objective, task.learn, tmp_path / "run", QUIET)
    module.load_state_dict(best)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    write_policy(module.eval(), describe(module, "arm", "d" * 64), bundle)
    policy = load(bundle)
    for angle, speed in ((0.8, -200.0), (-0.5, 100.0), (0.0, 0.0)):
        policy.reset()
        expected = 150.0 + 40.0 * angle + 0.03 * speed
        assert policy.act([angle, speed]) == pytest.approx([expected], abs=5.0)


@pytest.mark.slow  # starts two processes
def test_a_generation_that_depends_on_how_many_workers_there_are(tmp_path):
    task = load_task(EXAMPLES / "obstacle.yaml", {"environment.steps": 20})
    for workers in (1, 2):
        list(demonstrate(task, tmp_path / str(workers), range(7), workers=workers, failures=True))
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "12"
    )
    assert len(one) == 7
    assert one == two
