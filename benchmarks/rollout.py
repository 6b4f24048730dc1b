"""Rollouts of 25 steps: one call of the exported Scan against stepping it, and against torch."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks import Row, interleaved, main, one_thread, row
from kinemill import runtime
from kinemill.export.interface import describe
from kinemill.export.writing import write_model
from kinemill.spec import load_task
from kinemill.train.layout import make_layout
from kinemill.train.step import Step

HORIZON = 25
MODELS = {
    "MLP 128x128": {"type": "mlp", "hidden_sizes": [128, 128], "activation": "silu"},
    "GRU 128": {"type": "gru", "hidden_size": 128},
}


def measure() -> list[Row]:
    """Return state-steps a second, batch 1 and 256, one thread."""
    rows: list[Row] = []
    for name, model in MODELS.items():
        step, simulator = _make(model)
        for batch in (1, 256):
            rows.append(_measure(name, step, simulator, batch))
    return rows


def _make(settings):
    task = load_task("double_pendulum")
    learn = task.learn.model_copy(update={"model": _model(settings)})
    layout = make_layout(task, learn.outputs, learn.integrator, learn.history)
    torch.manual_seed(0)
    spread = {"state": len(layout.states), "action": len(layout.actions), "output": 4}
    scale = {f"{name}_mean": torch.zeros(n) for name, n in spread.items()}
    scale |= {f"{name}_std": torch.full((n,), 0.1) for name, n in spread.items()}
    network = learn.model.build(layout.features, len(layout.outputs), layout.history)
    step = Step(layout, network, scale).eval()
    with tempfile.TemporaryDirectory() as folder:
        description = {
            "task": task.name,
            "dataset": "0" * 64,
            "units": {name: task.channels[name].unit for name in task.columns},
            "limits": {name: task.channels[name].limits for name in task.columns},
        }
        write_model(step, describe(description, step), Path(folder))
        return step, runtime.load(folder)


def _model(settings):
    from kinemill.spec import MODELS as FAMILY

    return FAMILY[settings["type"]].model_validate(settings)


def _measure(name, step, simulator, batch) -> Row:
    random = np.random.default_rng(0)
    states = random.normal(size=(batch, step.history, 4)).astype(np.float32)
    past = random.normal(size=(batch, step.history - 1, 2)).astype(np.float32)
    actions = random.normal(size=(batch, HORIZON, 2)).astype(np.float32)
    tensors = [torch.from_numpy(value) for value in (states, past, actions)]

    def stepped():
        carry = simulator.warm_up(states, past)
        state = states[:, -1]
        for k in range(HORIZON):
            state, *carry = simulator.step(state, actions[:, k], *carry)

    def eager():
        with torch.inference_mode():
            step.rollout(*tensors)

    with one_thread():
        seconds = interleaved(
            {
                "ours": lambda: simulator.rollout(states, past, actions),
                "step.onnx in a Python loop": stepped,
                "torch eager": eager,
            },
            rounds=21,
        )
    rate = {case: batch * HORIZON / value for case, value in seconds.items()}
    ours = rate.pop("ours")
    return row(f"roll out {name}, {HORIZON} steps, batch {batch}", "state-steps/s", ours, rate)


if __name__ == "__main__":
    main("rollout", measure)
