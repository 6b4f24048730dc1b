"""`learn.eval_callback`: custom evaluation callback, called at each evaluation.

The call is `function(simulator, task)`. It returns numbers by name, which are logged as eval/*. No
weights depend on the callback, so it is not part of a model's key: a changed callback does not
train an existing model again. A module has to be importable (installed, or in a folder on
PYTHONPATH); the path of a file is relative to the task file.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from kinemill.errors import BadInput, KinemillError
from kinemill.task.document import Task
from kinemill.task.hooks import load_hook


class TorchSimulator:
    """The model in training, with the interface of a `kinemill.runtime.Simulator`.

    Args:
        module: a `Step` or an `Ensemble`, in evaluation mode.
        task: the task with the channels of the model.
    """

    def __init__(self, module: Any, task: Task) -> None:
        self.module = module
        self.dt = task.dt
        self.states, self.actions = tuple(task.states), tuple(task.actions)
        self.units = {name: task.channels[name].unit for name in task.columns}

    @property
    def history(self) -> int:
        """Rows known before the first prediction, H."""
        return self.module.history

    @torch.no_grad()
    def rollout(
        self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike
    ) -> NDArray[np.float32]:
        """Roll out the model: feed its output back as the next state.

        Args:
            states: (B, H, S) in task units, the last row is the present.
            past_actions: (B, H-1, A), the actions between those states.
            actions: (B, T, A), the first acts on the last state.

        Returns:
            (B, T, S) in task units, the states after each of `actions`.
        """
        like = self.module.state_std
        tensors = [like.new_tensor(np.asarray(part)) for part in (states, past_actions, actions)]
        return self.module.rollout(*tensors).cpu().numpy()


def _view(module: Any, task: Task) -> object:
    """Return the module as a simulator or as a policy."""
    if task.learn.gives == "policy":
        from kinemill.train.policy_runner import as_policy

        return as_policy(module, task.name)
    return TorchSimulator(module, task)


def load_callback(target: str | None, task: Task) -> Callable[[object], dict[str, float]] | None:
    """Return the function of `learn.eval_callback` for the loop; None if it is not set.

    The returned function takes the module in training and returns numbers by name, `eval/...`. It
    raises `BadInput` if the callback fails or returns anything but numbers by name.

    Raises:
        BadInput: The module, the file or the function does not exist.
    """
    if target is None:
        return None
    where = f"learn.eval_callback: {target}"
    function = load_hook(where, target)

    def evaluate(module: object) -> dict[str, float]:
        try:
            numbers = function(_view(module, task), task)
        except KinemillError:
            raise
        except Exception as error:
            message = f"raised {type(error).__name__}: {error}"
            raise BadInput(where, message, fix="fix the function, or unset the key") from error
        return _numbers(where, numbers)

    return evaluate


def _numbers(where: str, numbers: object) -> dict[str, float]:
    target = "a mapping of names to numbers"
    if not isinstance(numbers, Mapping):
        raise BadInput(where, f"returned {type(numbers).__name__}", expected=target)
    for name, value in numbers.items():
        if not isinstance(name, str) or not isinstance(value, int | float | np.number):
            raise BadInput(where, f"returned {value!r} for {name!r}", expected=target)
    return {f"eval/{name}": float(value) for name, value in numbers.items()}
