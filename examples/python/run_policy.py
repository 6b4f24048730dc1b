"""Run a policy's folder with numpy and ONNX Runtime alone, as on a robot without kinemill.

    kinemill model export TASK --to policy
    pip install numpy onnxruntime
    python run_policy.py policy

The file's metadata has everything that a program needs: names, units, dt, limits, choices.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

STEPS = 5


def open_policy(path):
    """Return a session on one thread, and the metadata of the file."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    return session, {name: json.loads(value) for name, value in said.items()}


def nothing_observed(about):
    """Return a batch of one of every input but the carry: zeros, all choices allowed."""
    inputs = {}
    if about["observation"]:
        inputs["observation"] = np.zeros((1, len(about["observation"])), np.float32)
    inputs |= {name: np.zeros((1, *shape), np.uint8) for name, shape in about["images"].items()}
    inputs |= {name: np.zeros((1, size), np.uint8) for name, size in about["texts"].items()}
    if about["mask"]:
        inputs["action_mask"] = np.ones((1, about["mask"]), np.float32)
    if about["seeded"]:
        inputs["seed"] = np.zeros((1, 1), np.int64)  # on a robot another number at each step
    return inputs


def act(session, about, inputs, steps):
    """Act for some steps in a row from the beginning of an episode: (steps, A)."""
    carry = {
        item["name"]: np.zeros((1, *item["shape"]), np.float32) for item in about["carry"]
    }  # recurrent state of the policy; empty at first
    names, actions = ["action", *(f"next_{name}" for name in carry)], []
    for _ in range(steps):
        action, *after = session.run(names, inputs | carry)
        carry = dict(zip(carry, after, strict=True))
        actions.append(action[0])
    return np.array(actions)


def main(folder):
    """Print the action of the policy for an observation of zeros."""
    session, about = open_policy(Path(folder) / "policy.onnx")
    actions_ = act(session, about, nothing_observed(about), STEPS)
    print(f"{about['task']}: {STEPS} steps of {about['dt']} s, all observed numbers 0")
    for name, values in zip(about["actions"], actions_.T, strict=True):
        action_text = ", ".join(f"{value:.6g}" for value in values)
        print(f"  {name}: {action_text} {about['units'][name]}")


if __name__ == "__main__":
    main(sys.argv[1])
