"""`learn.eval_callback`, and what a run writes down of itself."""

import numpy as np
import pytest
import torch
import yaml

from kinemill.control import eval_callback
from kinemill.errors import BadInput
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import TrainingJob
from kinemill.train import stage as train
from kinemill.train.eval_callback import TorchSimulator, load_callback
from kinemill.train.loop import fit
from kinemill.train.run_config import CONFIG, in_short
from tests.conftest import EXAMPLES
from tests.train.conftest import CPU, Recorder, pendulum_task, publish

HOOK = """
def swings(simulator, task):
    states, past, actions = [[[0.5, 0.0]] * 3], [[[0.0]] * 2], [[[0.0]] * 5]
    path = simulator.rollout(states, past, actions)
    assert path.shape == (1, 5, 2)
    return {"last": path[0, -1, 0], "dt": task.dt, "odd": float("nan")}

def wrong(simulator, task):
    return [1.0]

def words(simulator, task):
    return {"cost": "high"}

def breaks(simulator, task):
    return {"cost": 1 / 0}
"""


@pytest.fixture
def hook(tmp_path):
    path = tmp_path / "hook.py"
    path.write_text(HOOK)
    return path


def test_a_function_beside_the_task_is_asked_at_each_evaluation_with_the_weights_judged(
    packed, tmp_path, hook
):
    task = pendulum_task(steps=4, eval_every=2, ema=0.5, patience=None)
    module, objective = task.learn.prepare(task, packed, packed, CPU)
    watch, recorder = load_callback(f"{hook}:swings", task), Recorder()
    state, best = fit(module, objective, task.learn, tmp_path, (recorder, NullReporter()), watch)
    assert state.history["eval/dt"] == [[2, task.dt], [4, task.dt]]
    assert state.history["eval/odd"] == [[2, None], [4, None]]
    assert recorder.metrics["eval/last"][-1] == tuple(state.history["eval/last"][1])
    module.load_state_dict(best)  # the last ones are the best; averaged
    assert watch(module.eval())["eval/last"] == state.history["eval/last"][1][1]


def test_a_simulator_that_learns_rolls_out_as_the_module_does(packed):
    task = pendulum_task(ensemble=2)
    module, _ = task.learn.prepare(task, packed, packed, CPU)
    random = np.random.default_rng(0)
    arguments = [random.normal(size=shape) for shape in ((2, 3, 2), (2, 2, 1), (2, 4, 1))]
    simulator = TorchSimulator(module, task)
    reference = module.rollout(*(torch.tensor(part, dtype=torch.float32) for part in arguments))
    np.testing.assert_array_equal(simulator.rollout(*arguments), reference.detach().numpy())
    assert (simulator.history, simulator.states) == (3, ("angle", "velocity"))
    assert simulator.units["torque"] == "N*m"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody.knows:it", r"cannot be imported \(No module named 'nobody'\); .*PYTHONPATH"),
        ("math:sinn", r"math has no function 'sinn'; .*sin"),
        ("{folder}/no.py:swings", r"no file .*no\.py"),
        ("{folder}/bad.py:swings", r"cannot be imported \(SyntaxError"),
    ],
)
def test_what_cannot_be_asked_is_said_before_the_training(tmp_path, name, message):
    (tmp_path / "bad.py").write_text("def swings(:\n")
    with pytest.raises(BadInput, match=message):
        load_callback(name.format(folder=tmp_path), pendulum_task())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", "returned list; expected a mapping of names to numbers"),
        ("words", "returned 'high' for 'cost'"),
        ("breaks", "raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_function_that_fails_is_named(packed, hook, name, message):
    task = pendulum_task()
    module, _ = task.learn.prepare(task, packed, packed, CPU)
    with pytest.raises(BadInput, match=rf"learn\.eval_callback: .*:{name}: {message}"):
        load_callback(f"{hook}:{name}", task)(module)


def test_a_name_that_is_none_is_a_mistake_in_the_task():
    with pytest.raises(ValueError, match="is neither `module:function`"):
        pendulum_task(eval_callback="kinemill.control.eval_callback")


def test_a_file_is_named_relative_to_the_task(hook, tmp_path):
    task = yaml.safe_load(EXAMPLES.joinpath("pendulum.yaml").read_text())
    task["learn"]["eval_callback"] = "hook.py:swings"
    (tmp_path / "pendulum.yaml").write_text(yaml.safe_dump(task))
    result = load_task(tmp_path / "pendulum.yaml").learn.eval_callback
    assert result == f"{hook}:swings"
    assert load_callback(result, pendulum_task()) is not None


def test_the_closed_loop_runs_on_a_model_that_still_learns():
    """An untrained model controls, too: badly, but the same way each time."""
    settings = {"learn.model": {"type": "mlp", "hidden_sizes": [4]}, "learn.horizon": 2}
    task = load_task("pendulum", settings | {"control.seconds": 1.0, "control.hold": 0.5})
    result = eval_callback.closed_loop(_still(task), task)
    assert set(result) == {"cost", "success"}
    assert result["success"] == 0.0  # it hangs down still
    assert result["cost"] > 0.0
    assert eval_callback.closed_loop(_still(task), task) == result
    without = pendulum_task()
    with pytest.raises(BadInput, match="has no `control` part"):
        eval_callback.closed_loop(_still(without), without)


def _still(task):
    class Still:
        history = task.learn.history

        def rollout(self, states, past_actions, actions):
            assert np.shape(past_actions)[1] == self.history - 1
            return np.repeat(np.asarray(states)[:, -1:], np.shape(actions)[1], axis=1)

    return Still()


def test_a_run_writes_down_its_whole_configuration(home, packed, hook):
    task = pendulum_task(steps=20, accumulate=2, ema=0.9, eval_callback=f"{hook}:swings")
    ref, recorder = publish(home, packed), Recorder()
    train.run(task, home, ref, ref, (recorder, recorder))
    text = (TrainingJob(task, home, ref, ref).folder / CONFIG).read_text()
    assert recorder.texts == {"config": text}
    result = yaml.safe_load(text)
    # All of the task, its defaults too, so that it can be run again from this alone.
    assert type(task).model_validate(result["task"]) == task
    assert result["task"]["learn"]["grad_clip"] == 1.0
    assert result["run"]["seed"] == 0
    assert result["run"]["device"] == "cpu"
    assert result["run"]["versions"]["torch"] == torch.__version__
    short = "dynamics with mlp, adamw at 0.001, cosine_warmup, batch 32 x 2, 20 steps, ema 0.9"
    assert any(f"pendulum: {short}, seed 0; all settings: " in text for text in recorder.messages)
    assert recorder.metrics["eval/last"][-1][0] == 20
    assert recorder.messages[-1].startswith("peak memory: memory/host_peak_gib ")
    assert in_short(pendulum_task(amp="bf16", deterministic=True).learn).endswith(
        "amp bf16, deterministic, seed 0"
    )


def test_watching_trains_nothing_again(home, packed):
    ref = publish(home, packed)
    plain = TrainingJob(pendulum_task(), home, ref, ref).folder
    bystander = {"eval_callback": "math:sin"}
    assert TrainingJob(pendulum_task(**bystander), home, ref, ref).folder == plain
    for changed in ({"ema": 0.9}, {"accumulate": 2}, {"amp": "bf16"}, {"deterministic": True}):
        assert TrainingJob(pendulum_task(**changed), home, ref, ref).folder != plain
