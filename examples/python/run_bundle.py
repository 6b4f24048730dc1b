"""Run a model's folder with numpy and ONNX Runtime alone: a rollout, then the same step by step.

    kinemill model export TASK --to model
    pip install numpy onnxruntime
    python run_bundle.py model

The file's metadata has everything that a program needs: names, units, dt, history, limits.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

HORIZON = 25  # steps


def open_model(path):
    """Return a session on one thread, and the metadata of the file."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    return session, {name: json.loads(value) for name, value in said.items()}


def at_rest(about):
    """Return a batch of one: states (1, H, S) and actions (1, H-1, A), (1, T, A) of zeros."""
    history, states, actions = about["history"], len(about["states"]), len(about["actions"])
    return {
        "states": np.zeros((1, history, states), np.float32),
        "past_actions": np.zeros((1, history - 1, actions), np.float32),
        "actions": np.zeros((1, HORIZON, actions), np.float32),
    }


def roll_out(session, inputs):
    """Predict the whole horizon in one call: (1, T, S)."""
    return session.run(["next_states"], inputs)[0]


def step_by_step(session, about, inputs):
    """Predict the same one step at a time, as a robot does: (1, T, S)."""
    carry = {
        item["name"]: np.zeros((1, *item["shape"]), np.float32) for item in about["carry"]
    }  # recurrent state of the model; empty at first
    names = ["next_state", *(f"next_{name}" for name in carry)]

    def advance(state, action):
        outputs = session.run(names, {"state": state, "action": action, **carry})
        carry.update(zip(carry, outputs[1:], strict=True))
        return outputs[0]

    for k in range(about["history"] - 1):  # process the history; its predictions are not needed
        advance(inputs["states"][:, k], inputs["past_actions"][:, k])
    state, predicted = inputs["states"][:, -1], []
    for k in range(inputs["actions"].shape[1]):
        state = advance(state, inputs["actions"][:, k])
        predicted.append(state)
    return np.stack(predicted, axis=1)


def main(folder):
    """Print where the system goes from rest."""
    rollout, about = open_model(Path(folder) / "rollout.onnx")
    step, _ = open_model(Path(folder) / "step.onnx")
    inputs = at_rest(about)
    prediction = roll_out(rollout, inputs)
    apart = np.abs(prediction - step_by_step(step, about, inputs)).max()
    print(f"{about['task']}: {HORIZON} steps of {about['dt']} s from rest")
    for name, value in zip(about["states"], prediction[0, -1], strict=True):
        print(f"  {name}: {value:.6g} {about['units'][name]}")
    print(f"rollout.onnx and step.onnx differ by {apart:.1g}")


if __name__ == "__main__":
    main(sys.argv[1])
