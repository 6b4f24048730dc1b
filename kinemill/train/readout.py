"""Readout of a dynamics step: outputs that are predicted but not fed back, such as forces.

An output y is a function of the present row: y = h(x, u), with feed-through of the action. The
inputs of the readout are the same for every model family: the encoded row, the outputs of the
network (often accelerations), and its carry. It is linear in its inputs and in random tanh features
of them (Rahimi and Recht 2007, "Random features for large-scale kernel machines"), and is fitted in
closed form. Then all its weights are trained with the network, in the same loss.

Symbols: N rows, K inputs, Y outputs.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.models.networks.regression import Triangle
from kinemill.models.networks.scaling import nonzero_std
from kinemill.train.data import Windows

WIDTH = 64  # tanh features
ROWS = 8192  # rows per encoding batch
RIDGE = 1e-4  # penalty on scaled weights, relative to the rows fitted


class Readout(nn.Module):
    """(N, K) -> (N, Y) in task units.

    Args:
        inputs: K.
        outputs: Y.
    """

    input_mean: Tensor
    input_std: Tensor
    output_mean: Tensor
    output_std: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, WIDTH)
        self.linear = nn.Linear(inputs + WIDTH, outputs)
        for name, size in (("input", inputs), ("output", outputs)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_std", torch.ones(size))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs (N, Y), in task units, of inputs (N, K)."""
        return self.linear(self._features(inputs)) * self.output_std + self.output_mean

    def _features(self, inputs: Tensor) -> Tensor:
        """Return scaled inputs and tanh features, (N, K + WIDTH)."""
        scaled = (inputs - self.input_mean) / self.input_std
        return torch.cat([scaled, torch.tanh(self.inner(scaled))], dim=-1)

    @torch.no_grad()
    def fit(
        self, examples: Iterable[tuple[Tensor, Tensor]], scaling: "Readout | None" = None
    ) -> None:
        """Fit the scaling and the linear weights by ridge regression; tanh features stay random.

        Args:
            examples: batches of inputs (n, K) and outputs (n, Y) in task units.
            scaling: a readout whose scaling is used, so that the members of an ensemble share it;
                None: the scaling of the examples.
        """
        pairs = [(inputs.double(), outputs.double()) for inputs, outputs in examples]
        seen_rows, truth = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        if scaling is None:
            self._scale("input", seen_rows)
            self._scale("output", truth)
        else:
            for name, value in scaling.named_buffers():
                self.get_buffer(name).copy_(value)
        features = self._features(seen_rows.to(self.input_mean.dtype)).double()
        target = (truth - self.output_mean.double()) / self.output_std.double()
        triangle = Triangle()
        triangle.add(features.cpu(), target.cpu())
        solution = triangle.solution(features.shape[1], RIDGE, scaled=False)
        self.linear.weight.copy_(solution.weight)
        self.linear.bias.copy_(solution.bias)

    def _scale(self, name: str, values: Tensor) -> None:
        """Set the scaling of (n, .) values; the deviation of a constant counts as 1."""
        mean = values.mean(0)
        std = values.std(0, correction=0)
        getattr(self, f"{name}_mean").copy_(mean)
        getattr(self, f"{name}_std").copy_(nonzero_std(std, mean))


@torch.no_grad()
def fit_readout(step: Any, windows: Windows, which: Tensor, scaling: Readout | None = None) -> None:
    """Fit the readout of a step in closed form to the present row of each window in `which`, (W,).

    The present row is the last row of the history, at which the first action acts.
    """
    states = len(step.layout.states)

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for part in which.to(windows.values.device).split(ROWS):
            rows, past_actions, actions, truth = windows.gather_channels(part)
            all_actions = torch.cat([past_actions, actions[:, :1]], dim=1)
            yield step.readout_inputs(rows, all_actions), truth[:, 0, states:]

    step.readout.fit(pairs(), scaling)
