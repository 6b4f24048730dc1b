"""Free runs over training rows that are left out to select a model's terms.

Symbols: W windows, R runs, H history, T horizon, L steps of the longest run, C columns, S states.
"""

import torch
from torch import Tensor

from kinemill.train.data import Windows
from kinemill.train.step import Step

BLOCKS, LEFT_OUT = 10, (2, 7)  # a fifth of the windows, in two blocks
RUNS, LONGEST = 64, 400  # most rollouts, and most steps of each
LARGEST = 10.0  # upper bound of an error, in standard deviations


def is_left_out(windows: Windows) -> Tensor:
    """Return which windows are left out, (W,) bool: blocks of neighbors, or the last of few."""
    numbers = torch.arange(len(windows), device=windows.starts.device)
    blocks = torch.tensor(LEFT_OUT, device=numbers.device)
    mask = torch.isin(numbers * BLOCKS // len(windows), blocks)
    return mask if mask.any() else numbers == len(windows) - 1


class FreeRuns:
    """Rollouts over the rows of some windows, each up to the last consecutive window.

    Args:
        windows: training windows.
        mask: windows to use, (W,) bool.
    """

    def __init__(self, windows: Windows, mask: Tensor) -> None:
        starts = windows.starts[mask]
        final = torch.ones(len(starts), dtype=torch.bool, device=starts.device)
        final[:-1] = starts[1:] - starts[:-1] != 1
        run = final.cumsum(0) - final.long()
        steps = starts[final][run] - starts + windows.horizon
        spaced = torch.linspace(0, len(starts) - 1, min(RUNS, len(starts))).long()
        self._starts, self._steps = starts[spaced], steps[spaced].clamp(max=LONGEST)
        self._windows = windows

    @torch.no_grad()
    def error_of(self, step: Step) -> float:
        """Return the geometric mean of the errors after 1, 2, 4, ... steps, in standard deviations.

        A geometric mean weighs a factor of two in the error equally at every horizon.

        Args:
            step: with `rollout(states (R, H, S), past_actions (R, H-1, A), actions (R, L, A))`,
                `wrap` and `state_std`.
        """
        windows, history = self._windows, self._windows.history
        longest = int(self._steps.max())
        offsets = torch.arange(history + longest, device=self._starts.device)
        within = torch.minimum(offsets, (history + self._steps - 1).unsqueeze(1))  # (R, H + L)
        rows = windows.values[self._starts.unsqueeze(1) + within]
        states, actions = rows[..., : windows.states], rows[..., windows.states :]
        predicted = step.rollout(
            states[:, :history], actions[:, : history - 1], actions[:, history - 1 : -1]
        )
        missed = step.wrap(predicted - states[:, history:]) / step.state_std
        squares = missed.double().square().mean(2).nan_to_num(LARGEST**2).clamp(max=LARGEST**2)
        logarithms: list[Tensor] = []
        for steps in (2**power for power in range(longest.bit_length())):
            mean = squares[self._steps >= steps, steps - 1].mean()
            logarithms.append(torch.log(mean.clamp_min(torch.finfo(mean.dtype).tiny)))
        return float(torch.exp(0.5 * torch.stack(logarithms).mean()))
