"""Network of storages in series. Symbols: see `encoded_state`; N storages before each output."""

import torch
from torch import Tensor, nn

from kinemill.models._encoded_state import EncodedShape
from kinemill.models.networks.encoded_state import EncodedStateNetwork
from kinemill.models.networks.layers import relu

SMALL = 0.01  # added to a level under a root: at 0 the slope stays finite
LAST_BRIM = 1.1  # of the last storage: its level can rise beyond what a saturated sensor shows
RANGE = 4.0  # of an output, in its standard deviations
STIFF = 0.3  # scale of changes of the output's line: outside the training range it is reliable


class StoragesNetwork(EncodedStateNetwork):
    """Levels (B, O * N), from 0 to 1 where a storage runs over; outputs follow the last ones.

    In one row, rate * sqrt(level) flows out of a storage.

    Args:
        shape: inputs and outputs.
        count: storages in series before each output.
        lag: rows of the lag of each storage before training.
        points: points of the curves.
    """

    centers: Tensor
    brim: Tensor

    def __init__(self, shape: EncodedShape, count: int, lag: float, points: int) -> None:
        outputs = len(shape.bounds)
        super().__init__(outputs * count, shape)
        self.shape = (outputs, count)
        self.inflow = nn.Linear(len(shape.input_columns), outputs)
        self.rate = nn.Parameter(torch.full(self.shape, 1.0 / lag))
        # Of what flows out of each storage but the last, and of what runs over: shares that the
        # next one gets, in units of its own level.
        self.share = nn.Parameter(torch.ones(outputs, count - 1))
        self.spill = nn.Parameter(torch.full((outputs, count - 1), 0.5))
        self.outflow = nn.Parameter(torch.zeros(outputs, points))
        self.line = nn.Parameter(torch.zeros(outputs, 2))
        self.sensor = nn.Parameter(torch.zeros(outputs, points))
        brims = torch.ones(count)
        brims[-1] = LAST_BRIM
        self.register_buffer("brim", brims, persistent=False)
        centers = torch.linspace(0.0, 1.0, points)
        self.register_buffer("centers", centers, persistent=False)
        with torch.no_grad():
            # At the mean input the levels rest at about a half.
            self.inflow.weight.fill_(0.1 / lag)
            self.inflow.bias.fill_(0.7 / lag)
            self.encoder.weight.mul_(0.1)
            self.encoder.bias.fill_(0.5)

    def curve(self, levels: Tensor, heights: Tensor) -> Tensor:
        """Return sums of Gaussian bumps: levels (B, O), heights (O, points) -> (B, O)."""
        distance = (levels.unsqueeze(2) - self.centers) * (len(self.centers) - 1.0)
        return (torch.exp(-0.5 * distance.square()) * heights).sum(2)

    def advance(self, x: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Advance one row: (B, O * N), (B, m) -> (B, O * N), outputs (B, O)."""
        levels = self.brim - relu(self.brim - relu(x.unflatten(1, self.shape)))
        *flows, last = (self.rate * torch.sqrt(levels + SMALL)).unbind(2)
        flows.append(last * (1.0 + self.curve(levels[..., -1], self.outflow)))
        following = list[Tensor]()
        rise = self.inflow(inputs)
        for number, flow in enumerate(flows):
            filled = levels[..., number] - flow + rise
            over = relu(filled - self.brim[number])
            following.append(filled - over)
            if number < len(flows) - 1:
                rise = self.share[:, number] * flow + self.spill[:, number] * over
        x = torch.stack(following, dim=2).flatten(1)
        return x, self.read(x, inputs)

    def read(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (B, O) at x (B, O * N); they do not depend on `inputs` directly."""
        del inputs
        level = x.unflatten(1, self.shape)[..., -1]
        low, slope = (STIFF * self.line).unbind(1)
        return RANGE * (level - 0.5) + low + slope * level + self.curve(level, self.sensor)
