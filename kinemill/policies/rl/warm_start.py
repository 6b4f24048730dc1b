"""Warm start from another training: networks, including critics, and statistics of wrappers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.policies.rl.actor import RestartWeights
from kinemill.task import WarmStart, Wrapper
from kinemill.train.warm_start import WEIGHTS, described

_ADAPTERS = "adapters."
Value = TypeVar("Value")


def load_warm_start(
    start: WarmStart, learn: Any, wrappers: Sequence[Wrapper] = ()
) -> tuple[list[dict[str, NDArray[np.generic]]], dict[str, Tensor]]:
    """Return the estimates of each wrapper of an earlier policy, and its weights by name.

    Raises:
        BadInput: The start is no policy of a compatible algorithm with the same wrappers.
    """
    where = f"learn.start_from: {start.address}"
    folder = Path(start.folder)
    description = described(folder)
    previous = description["learn"]
    if previous["type"] != "reinforcement":
        fix = "set learn.pretrain: {}, which clones its actions"
        raise BadInput(where, f"was trained by {previous['type']}", fix=fix)
    trained_by = previous["algorithm"]["type"]
    if not learn.algorithm.compatible(trained_by):
        problem = f"was trained by {trained_by}, whose networks differ from {learn.algorithm.type}"
        fix = (
            f"set learn.algorithm.type: {trained_by}, or learn.pretrain: {{}} to clone its actions"
        )
        raise BadInput(where, problem, fix=fix)
    task_wrappers = [
        wrapper.model_dump(mode="json") for wrapper in wrappers if wrapper.scope == "policy"
    ]
    if wrappers and task_wrappers != description["wrappers"]:
        raise BadInput(
            where,
            f"has the wrappers {description['wrappers']}",
            expected=f"those of the task, {task_wrappers}",
        )
    weights = load_file(folder / WEIGHTS)
    named = without_prefix(weights, RestartWeights.PREFIX)
    restart = {name.replace("/", "."): value for name, value in named.items()}
    return _estimates(weights, wrappers), restart


def _estimates(
    weights: dict[str, Tensor], wrappers: Sequence[Wrapper]
) -> list[dict[str, NDArray[np.generic]]]:
    """Return the estimated buffers of each wrapper, arrays by name."""
    estimates = list[dict[str, NDArray[np.generic]]]()
    index = 0
    for wrapper in wrappers:
        values = without_prefix(weights, f"{_ADAPTERS}{index}.")
        index += wrapper.scope == "policy"
        inside = wrapper.scope == "policy" and wrapper.estimated
        arrays = {name: value.numpy() for name, value in values.items()}
        estimates.append(arrays if inside else {})
    return estimates


def without_prefix(values: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """Return the values whose names start with `prefix`, by the rest of their names."""
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }
