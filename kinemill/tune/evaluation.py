"""One objective for all trials: rollouts over the same windows of the validation split."""

import math
from typing import Any

import numpy as np
import torch

from kinemill.dataset import PackedDataset, load_dataset
from kinemill.runtime.window_metrics import evenly_spaced
from kinemill.store import Artifact
from kinemill.task import Task
from kinemill.train import load_model
from kinemill.train.data import Windows
from kinemill.train.summary import ModelSummary
from kinemill.tune.search import Search

WINDOWS = 2048  # evenly spaced; more windows change the error little
BATCH = 512


def evaluate(search: Search, task: Task, model: Artifact) -> float:
    """Return the validation error of a trained model, in training std of the channels.

    The error is the root mean square over all states, steps and windows; infinite if not finite.
    All trials predict from the same rows over the same horizon, with any history. Training and test
    episodes are not used. A policy has the error of its training; with reinforcement learning, the
    negative of its best return.
    """
    if task.learn.type != "dynamics":
        summary = ModelSummary.of(model)
        return summary.best if summary.objective is None else summary.objective

    packed = load_dataset(search.home, search.dataset)
    module = load_model(search.home.root / model.ref.path)
    # A portfolio selects the history, so that of the task does not apply.
    return rollout_error(module, packed, (module.history, search.history, search.horizon))


def rollout_error(module: Any, packed: PackedDataset, steps: tuple[int, int, int]) -> float:
    """Return the error of a dynamics model over windows of the validation split.

    Args:
        module: a network with `rollout(states (B, H, S), past_actions (B, H-1, A), actions
            (B, T, A)) -> (B, T, S)`, in channel units.
        packed: the dataset.
        steps: history of the model, known rows of each window, and horizon.
    """
    known_steps, history, horizon = steps
    starts = packed.window_starts("validation", history + horizon)
    starts = evenly_spaced(starts, WINDOWS)
    count = len(packed.states)
    values = torch.from_numpy(packed.copy_values())
    windows = Windows(values, torch.from_numpy(starts), history, horizon, count)
    scale = torch.from_numpy(np.where(packed.std > 1e-12, packed.std, 1.0)[:count])
    angles = [packed.states.index(name) for name in packed.angles]
    total = 0.0
    with torch.no_grad():
        for some in torch.arange(len(starts)).split(BATCH):
            states, past, actions, truth = windows.gather(some)
            late = history - known_steps
            off = (module.rollout(states[:, late:], past[:, late:], actions) - truth).double()
            turns = off[..., angles] / (2.0 * math.pi)
            off[..., angles] = 2.0 * math.pi * (turns - turns.round())
            total += (off / scale).square().sum().item()
    error = math.sqrt(total / (len(starts) * horizon * count)) if total >= 0.0 else math.inf
    return error if math.isfinite(error) else math.inf
