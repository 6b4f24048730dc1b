"""Objective of a training, and the cause of a loss that is not finite."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Suspect:
    """Cause of a loss that is not finite.

    Attributes:
        window: position in the data, such as `window from row 3 of episode run7`.
        channel: channel that is not finite.
        message: description of the problem.
        in_data: whether the data themselves are not finite.
    """

    window: str
    channel: str
    message: str
    in_data: bool


@dataclass(frozen=True)
class Objective:
    """Objective that the loop minimizes and monitors.

    Attributes:
        loss: window numbers (M, B), training step -> scalar loss with gradient, summed over the M
            members of an ensemble; M is 1 without one. For a part of a batch, a third argument is
            its position: (first window, windows of the whole batch).
        evaluate: () -> validation errors by name.
        monitor: name of the error whose smallest value selects the best weights.
        windows: number of training windows.
        weights: (windows,) float64, sampling weights; None: all equal.
        members: M; their parameters are stacked along the first axis.
        steady: whether the loss of a window is the same at every training step.
        static: whether every step runs the same operations on the device, and draws the same
            tensors of `KeyedNoise`, so that it can be a CUDA graph.
        suspect: window numbers (M, B), training step -> the window and channel that are not finite;
            None: unknown.
        prefetch: window numbers (M, B) on the CPU, next step -> None; begins to load the data of
            its loss. None: the loss loads nothing.
        evaluate_start: whether the initial weights are evaluated too, and kept if none are better.
    """

    loss: Callable[..., Tensor]
    evaluate: Callable[[], dict[str, float]]
    monitor: str
    windows: int
    weights: Tensor | None = None
    members: int = 1
    steady: bool = False
    static: bool = False
    suspect: Callable[[Tensor, int], Suspect] | None = None
    prefetch: Callable[[Tensor, int], None] | None = None
    evaluate_start: bool = False
