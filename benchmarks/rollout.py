"""Rollouts of 25 steps: compiled, and as one call of the exported graph, against torch and a peer.

Compiled is what `load(..., engine="auto")` selects if there is a compiler: C made from step.onnx.
onyxengine 0.1.15 is measured if `python -m benchmarks._peers` has installed it: its `simulate` of
its own MLP, which normalizes each hidden layer. Sizes, history, tanh, states and actions are the
same, and both networks predict the change of the state.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import Row, main, paired, repeat
from benchmarks._exports import make_scale, write_files
from benchmarks._peers import peer
from kinemill import runtime
from kinemill.task.document import Task
from kinemill.train.devices import single_thread
from kinemill.train.layout import layout_of
from kinemill.train.step import make_step

HORIZON = 25
ROUNDS = 21
STATES, ACTIONS = [f"s{index}" for index in range(4)], ["a0", "a1"]
MLP = {"type": "mlp", "hidden_sizes": [64, 64, 64], "activation": "tanh"}
MODELS = {"MLP 3x64": (MLP, 8), "GRU 128": ({"type": "gru", "hidden_size": 128}, 11)}
CALLS = {1: 40, 256: 4}  # in one round


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return state-steps by CPU second, batch 1 and 256, one thread."""
    with single_thread():
        return [
            _measure(name, *_make(model, history), batch, rounds)
            for name, (model, history) in MODELS.items()
            for batch in CALLS
        ]


def _make(model, history):
    """Return a step of random weights in torch, and its exported simulator, plain and compiled."""
    channels = {name: {"role": "state", "unit": "m"} for name in STATES}
    channels |= {name: {"role": "action", "unit": "N"} for name in ACTIONS}
    learn = {"type": "dynamics", "model": model, "history": history}
    task = Task.model_validate({"task": "peer", "dt": 0.01, "channels": channels, "learn": learn})
    layout = layout_of(task)
    torch.manual_seed(0)
    scale = make_scale(layout, feature_mean=0.05, feature_std=1.1, output_mean=0.01, output_std=0.1)
    learn: Any = task.learn
    step = make_step(learn.model, layout, scale).eval()
    with tempfile.TemporaryDirectory() as folder:
        write_files(task, step, Path(folder))
        return step, runtime.load(folder), runtime.load(folder, engine="c")


def _measure(name, step, simulator, compiled, batch, rounds) -> Row:
    random = np.random.default_rng(0)
    states = random.normal(size=(batch, step.history, len(STATES))).astype(np.float32)
    past = random.normal(size=(batch, step.history - 1, len(ACTIONS))).astype(np.float32)
    actions = random.normal(size=(batch, HORIZON, len(ACTIONS))).astype(np.float32)
    tensors = [torch.from_numpy(value) for value in (states, past, actions)]

    def stepped():
        carry = simulator.warm_up(states, past)
        state = states[:, -1]
        for k in range(HORIZON):
            state, *carry = simulator.step(state, actions[:, k], *carry)

    def eager():
        with torch.inference_mode():
            step.rollout(*tensors)

    cases = {
        "ours": lambda: compiled.rollout(states, past, actions),
        "rollout.onnx in one call": lambda: simulator.rollout(states, past, actions),
        "step.onnx in a Python loop": stepped,
        "torch eager": eager,
    }
    if name in PEERS and (onyx := PEERS[name](step.history, *tensors)):
        cases["onyxengine 0.1.15"] = onyx
    calls = CALLS[batch]
    repeated_calls = {case: repeat(call, calls) for case, call in cases.items()}
    work = f"roll out {name}, {HORIZON} steps, batch {batch}"
    return paired(work, "state-steps/CPU s", calls * batch * HORIZON, repeated_calls, rounds)


def _onyx_mlp(history, states, past, actions):
    """Return a call of the peer's `simulate` with the same inputs, or None without the peer."""
    modeling = peer("onyxengine.modeling")
    if modeling is None:
        return None
    changes = [modeling.Output(name=f"change_{name}") for name in STATES]
    inputs = [modeling.Input(name=n, parent=f"change_{n}", relation="delta") for n in STATES]
    inputs += [modeling.Input(name=name) for name in ACTIONS]
    config = modeling.MLPConfig(
        outputs=changes,
        inputs=inputs,
        dt=0.01,
        sequence_length=history,
        hidden_layers=len(MLP["hidden_sizes"]),
        hidden_size=MLP["hidden_sizes"][0],
        activation=MLP["activation"],
    )
    model = modeling.MLP(config).eval()
    # It wants an action for the row after the last as well, and never looks at it.
    every = torch.cat([past, actions, actions[:, -1:]], dim=1)
    state_columns = {name: states[..., index : index + 1] for index, name in enumerate(STATES)}
    action_columns = {name: every[..., index : index + 1] for index, name in enumerate(ACTIONS)}
    return lambda: model.simulate(state_columns, action_columns, HORIZON)


PEERS = {"MLP 3x64": _onyx_mlp}

if __name__ == "__main__":
    main("rollout", measure)
