"""Linear network of a window, fitted by least squares, with an optional residual network.

Symbols: B batch, N rows, H rows of history, F features, O outputs.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.models.networks.layers import Network

Rows = list[list[bool]]


@dataclass(frozen=True)
class FeatureMask:
    """Which features each output depends on.

    Attributes:
        levels: features that enter in all rows, (O, F).
        changes: features that enter through their changes from row to row alone, (O, F).
    """

    levels: Rows
    changes: Rows

    @classmethod
    def by_name(
        cls, columns: Sequence[str], levels: Sequence[AbstractSet[str]], groups: Sequence[str]
    ) -> "FeatureMask":
        """Return the mask by channel names.

        Args:
            columns: the channel of each feature.
            levels: the channels that enter each output in all rows.
            groups: patterns. An output depends on the changes of the channels that match the same
                pattern as one of its own channels.
        """
        changes: Rows = []
        for level in levels:
            patterns = [
                group for group in groups if any(fnmatchcase(name, group) for name in level)
            ]
            changes.append(
                [
                    name not in level and any(fnmatchcase(name, pattern) for pattern in patterns)
                    for name in columns
                ]
            )
        return cls([[name in names for name in columns] for names in levels], changes)


class LinearNetwork(Network):
    """(B, F), window (B, H - 1, F), the residual's carry -> (B, O), window, carry.

    Args:
        inputs: F.
        outputs: O.
        history: H.
        ridge: penalty on squared weights, see `least_squares`.
        mask: which features each output depends on; None: all.
        residual: network whose output is added; its head starts at zero.
    """

    mask: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        history: int,
        ridge: float,
        mask: FeatureMask | None,
        residual: Network | None,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(history * inputs, outputs)
        self.residual = residual
        self.ridge = ridge
        self.feature_mask = mask
        weights = torch.ones(outputs, inputs)
        if mask is not None:
            weights = (torch.tensor(mask.levels) | torch.tensor(mask.changes)).float()
        self.register_buffer("mask", weights.repeat(1, history), persistent=False)
        self.carry_shapes = ((history - 1, inputs), *(residual.carry_shapes if residual else ()))
        if residual is not None:
            zero_head(residual)

    def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the window (B, H - 1, F) and the residual's carry."""
        return features, *(self.residual.warm_up(features) if self.residual is not None else ())

    def forward(self, features: Tensor, window: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs (B, O), the next window and the residual's next carry."""
        window = torch.cat([window, features.unsqueeze(1)], dim=1)
        weight = self.linear.weight * self.mask if self.feature_mask else self.linear.weight
        outputs = functional.linear(window.flatten(1), weight, self.linear.bias)
        after: list[Tensor] = []  # a list, because torch.compile cannot trace others
        if self.residual is not None:
            added, *after = self.residual(features, *carry)
            outputs = outputs + added
        return outputs, window[:, 1:], *after

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the linear part to the least-squares solution of (N, H, F) and targets (N, O)."""
        weight, bias = least_squares(batches, self.ridge, self.feature_mask)
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)


def zero_head(network: nn.Module) -> None:
    """Set the last layer of a residual network to zero, so that it starts without effect."""
    for value in network.get_submodule("head").parameters():
        nn.init.zeros_(value)


def least_squares(
    batches: Iterable[tuple[Tensor, Tensor]], ridge: float, mask: FeatureMask | None = None
) -> tuple[Tensor, Tensor]:
    """Return weight (O, H F) and bias (O,) that minimize the squared error, in float64.

    Only R of a QR decomposition is kept of the data, which is exact and of bounded size.

    Args:
        batches: features (N, H, F), the newest row last, and targets (N, O).
        ridge: penalty on squared weights, relative to the number of rows. With a mask, it is a
            penalty on the weights of changes alone, in the standard deviations of the changes.
        mask: which features each output depends on; None: all.
    """
    triangle = torch.empty(0, 0).double()
    rows = 0
    width = 0
    history = 0
    for features, targets in batches:
        ones = features.new_ones(len(features), 1)
        history = features.shape[1]
        part = torch.cat([features.flatten(1), ones, targets], dim=1).double().cpu()
        rows = rows + len(part)
        width = part.shape[1] - targets.shape[1]
        triangle = torch.linalg.qr(
            torch.cat([triangle, part]) if len(triangle) else part, mode="r"
        ).R
    lhs = triangle[:, :width]
    rhs = triangle[:, width:]
    # Tikhonov as further rows of the least-squares problem: sqrt(ridge · rows) on the diagonal.
    root = (ridge * rows) ** 0.5
    if mask is None:
        penalty = torch.full((width,), root).double()
        penalty[-1] = 0.0  # the bias is not penalized
        solution = _solve(lhs, rhs, penalty)
        return solution[:-1].T, solution[-1]
    columns: list[Tensor] = []
    for number, (levels, changes) in enumerate(zip(mask.levels, mask.changes, strict=True)):
        whole, differences = _basis(levels, changes, history)
        basis = torch.cat([whole, differences, torch.eye(width).double()[:, -1:]], dim=1)
        projected = lhs @ basis
        count = whole.shape[1]
        penalty = torch.full((basis.shape[1],), root).double()
        if differences.shape[1]:
            # RᵀR = XᵀX, so R yields the means and variances of the columns without the rows.
            mean = projected.T @ lhs[:, -1] / rows  # the last column is of ones
            square = (projected * projected).sum(0) / rows - mean * mean
            penalty = root * square.clamp_min(0.0).sqrt()
            penalty[:count] = 0.0
        penalty[-1] = 0.0
        columns.append(basis @ _solve(projected, rhs[:, number : number + 1], penalty))
    solution = torch.cat(columns, dim=1)
    return solution[:-1].T, solution[-1]


def _solve(lhs: Tensor, rhs: Tensor, penalty: Tensor) -> Tensor:
    """Return the weights that minimize the squared error and their penalized squares."""
    lhs = torch.cat([lhs, torch.diag(penalty)])
    rhs = torch.cat([rhs, rhs.new_zeros(len(penalty), rhs.shape[1])])
    # gelsd uses singular values: columns that repeat each other share their weight.
    return torch.linalg.lstsq(lhs, rhs, driver="gelsd").solution


def _basis(levels: list[bool], changes: list[bool], history: int) -> tuple[Tensor, Tensor]:
    """Return levels and changes in terms of the window's values: (H F + 1, columns) each."""
    rows = torch.eye(history).double()
    features = torch.eye(len(levels)).double()
    differences = rows[:, 1:] - rows[:, :-1]
    parts = ((rows, levels), (differences, changes))
    bases = [
        torch.kron(part, features[:, torch.tensor(is_included)]) for part, is_included in parts
    ]
    return functional.pad(bases[0], (0, 0, 0, 1)), functional.pad(bases[1], (0, 0, 0, 1))
