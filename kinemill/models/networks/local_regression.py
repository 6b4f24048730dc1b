"""Regression in which each output depends on some features alone, fitted in closed form.

Symbols: N rows, H rows of history, F features, O outputs.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.models.networks.layers import Network
from kinemill.models.networks.regression import Regression, Solution, Triangle
from kinemill.models.networks.window_terms import WindowTerms

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


class MaskedLinear(nn.Linear):
    """A linear map with the weights where the mask (O, H F) is 1."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, H F) -> (B, O)."""
        return functional.linear(input, self.weight * self.mask, self.bias)


class LocalRegression(Regression):
    """`Regression` on a window of features, in which each output has its own features.

    Args:
        inputs: F.
        history: H.
        ridge: penalty on squared weights, relative to the number of rows. With changes in the mask,
            on their weights alone, in the standard deviations of the changes.
        mask: which features each output depends on.
        residual: see `Regression`.
    """

    def __init__(
        self, inputs: int, history: int, ridge: float, mask: FeatureMask, residual: Network | None
    ) -> None:
        terms = WindowTerms(inputs, history)
        super().__init__(terms, history, len(mask.levels), ridge, residual=residual)
        self.feature_mask = mask
        weights = torch.tensor(mask.levels) | torch.tensor(mask.changes)
        self.head = MaskedLinear(weights.float().repeat(1, history))

    def solve(self, triangle: Triangle) -> Solution:
        """Return the regression of each output on levels and changes of its own features."""
        width = triangle.triangle.shape[1] - triangle.outputs
        lhs, rhs = triangle.triangle.split([width, triangle.outputs], dim=1)
        root = (self.ridge * triangle.rows) ** 0.5
        ones = torch.eye(width).double()[:, :1]
        columns: list[Tensor] = []
        masks = zip(self.feature_mask.levels, self.feature_mask.changes, strict=True)
        for number, (levels, changes) in enumerate(masks):
            whole, differences = _basis(levels, changes, self.history)
            basis = torch.cat([ones, whole, differences], dim=1)
            projected = lhs @ basis
            penalty = torch.full((basis.shape[1],), root).double()
            if differences.shape[1]:
                # Row 0 of R belongs to the ones, so the rows below have centered columns.
                penalty = root * (projected[1:].square().sum(0) / triangle.rows).sqrt()
                penalty[: 1 + whole.shape[1]] = 0.0
            penalty[0] = 0.0  # the bias is not penalized
            rows = torch.cat([projected, torch.diag(penalty)])
            target = torch.cat([rhs[:, number], rhs.new_zeros(len(penalty))]).unsqueeze(1)
            # gelsy copes with columns that repeat each other, see `Triangle.solution`.
            columns.append(basis @ torch.linalg.lstsq(rows, target, driver="gelsy").solution)
        solution = torch.cat(columns, dim=1)
        return Solution(self.gain.double().cpu(), solution[1:].T, solution[0])


def _basis(levels: list[bool], changes: list[bool], history: int) -> tuple[Tensor, Tensor]:
    """Return levels and changes in terms of 1 and the window: (1 + H F, columns) each."""
    rows = torch.eye(history).double()
    features = torch.eye(len(levels)).double()
    differences = rows[:, 1:] - rows[:, :-1]
    parts = ((rows, levels), (differences, changes))
    bases = [
        torch.kron(part, features[:, torch.tensor(is_included)]) for part, is_included in parts
    ]
    return functional.pad(bases[0], (0, 0, 1, 0)), functional.pad(bases[1], (0, 0, 1, 0))
