"""Write the ONNX files of a trained step, and refuse them when they do not run like it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinemill.errors import Blocked
from kinemill.export.interface import io_document
from kinemill.export.rollout import rollout_model
from kinemill.export.step import export_any, step_model, trace
from kinemill.runtime import Interface, load, wrapped
from kinemill.store import Json, publish_json


def write_model(step: Any, interface: Interface, folder: Path) -> Json:
    """Write the three files into `folder`, compare with `step`, and return the summary.

    Raises:
        Blocked: the exported step gives NaN, or other numbers than the trained one.
    """
    core = trace(step, interface)
    version = interface.versions["kinemill"]
    files = {
        "step.onnx": _bytes(step_model(core, interface, version)),
        "rollout.onnx": _bytes(rollout_model(core, interface, version)),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    publish_json(folder / "io.json", io_document(interface, files))
    _compare(step, folder)
    return {
        "history": interface.history,
        "states": list(interface.states),
        "actions": list(interface.actions),
        "carry": [[item.name, *item.shape] for item in interface.carry],
        "bytes": {name: len(content) for name, content in files.items()},
    }


def warm_up() -> None:
    """Have torch import and set up what a process's first export needs, by a small one."""
    export_any(torch.nn.Linear(1, 1).eval(), (torch.zeros(1, 1),))


def _bytes(model: Any) -> bytes:
    return model.SerializeToString(deterministic=True)


def _compare(step: Any, folder: Path) -> None:
    """Run both on five random rows: gross differences end here, fine ones are verify's business."""
    simulator = load(folder)
    states, actions = len(simulator.states), len(simulator.actions)
    rng, history = np.random.default_rng(0), simulator.history
    shapes = [(5, history, states), (5, history - 1, actions), (5, 3, actions)]
    inputs = [rng.uniform(-1.0, 1.0, shape).astype(np.float32) for shape in shapes]
    found = simulator.rollout(*inputs)
    with torch.no_grad():
        module = step.cpu().float().eval()
        wanted = module.rollout(*(torch.tensor(part) for part in inputs)).numpy()
    angle = np.array([name in simulator.interface.angles for name in simulator.states])
    difference = wrapped(found - wanted, angle)
    if not bool((np.abs(difference) <= 1e-3 * (1.0 + np.abs(wanted))).all()):
        what = f"differs from the trained one by up to {np.abs(difference).max():.3g}"
        if not np.isfinite(found).all():
            what = "gives numbers that are not finite"
        raise Blocked(
            f"{simulator.interface.task}: exported model",
            what,
            expected="the trained step's own numbers",
            fix="look at the loss of the training; it may have diverged",
        )
