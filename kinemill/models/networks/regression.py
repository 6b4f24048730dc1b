"""A network that is linear in given terms of the last rows, fitted in closed form.

The models `arx`, `narx`, `physics`, `linear` and `polynomial` differ in their terms alone. Symbols:
B batch, N windows, H history, C columns (states, then actions; or features), F terms, O outputs.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.models.networks.layers import Network, zero_head
from kinemill.models.networks.scaling import is_varying

PROBED = 256  # rows that show how float32 rounds terms
PRECISE = 100.0  # least ratio of a term's standard deviation to its rounding


class Terms(nn.Module):
    """Terms of a regression: (B, H, C) in task units, newest row first -> (B, F).

    The terms of a shorter history come first: `counts[h - 1]` terms need `h` rows.

    Attributes:
        counts: number of terms by history, 1 to H.
        columns: C.
    """

    counts: tuple[int, ...]
    columns: int

    def center_on(self, mean: Tensor) -> None:
        """Subtract a mean (C,), in task units, because large offsets would cost digits.

        Terms of scaled features do not need it.
        """


class Regression(Network):
    """`(inputs, window (B, H-1, C), carry of the residual) -> outputs (B, O), window, carry`.

    With `output_std`, the inputs are `state (B, S), action (B, A), features (B, F)` in task units,
    and outputs are in their own units; each term is divided by its standard deviation in training.
    Without, the inputs are scaled features (B, F), and terms and outputs have no further scale. The
    window holds the rows of the terms, the newest first.

    Args:
        terms: the terms.
        history: H.
        outputs: O.
        ridge: penalty on squared weights of scaled terms, relative to the rows fitted.
        output_std: standard deviation of each output in training, (O,); None: features only.
        residual: network `(features (B, F), carry) -> (B, O), carry` whose output is added.
    """

    head: nn.Linear
    gain: Tensor
    output_std: Tensor

    def __init__(
        self,
        terms: Terms,
        history: int,
        outputs: int,
        ridge: float,
        output_std: Tensor | None = None,
        residual: Network | None = None,
    ) -> None:
        super().__init__()
        self.physical = output_std is not None
        self.terms = terms
        self.history = history
        self.ridge = ridge
        self.holds_scale = False
        count = terms.counts[history - 1]
        self.head = nn.Linear(count, outputs)
        self.register_buffer("gain", torch.ones(count), persistent=self.physical)
        scale = torch.ones(outputs) if output_std is None else output_std.float()
        self.register_buffer("output_std", scale, persistent=self.physical)
        self.residual = residual
        window = ((history - 1, terms.columns),) if history > 1 else ()
        self.carry_shapes = (*window, *(residual.carry_shapes if residual is not None else ()))
        if residual is not None:
            zero_head(residual)

    def _rows(self, *inputs: Tensor) -> Tensor:
        """Return the rows of the terms: inputs (..., S), (..., A), (..., F) -> (..., C)."""
        return torch.cat(inputs[:2], dim=-1) if self.physical else inputs[0]

    def warm_up(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after inputs (B, K, ...), oldest first; missing rows are 0."""
        carry = () if self.residual is None else self.residual.warm_up(inputs[-1])
        if self.history == 1:
            return carry
        rows = self._rows(*inputs).flip(1)[:, : self.history - 1]
        missing = self.history - 1 - rows.shape[1]
        return (functional.pad(rows, (0, 0, 0, missing)) if missing else rows, *carry)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs (B, O) after this row, and the next carry."""
        count = 3 if self.physical else 1
        inputs = tensors[:count]
        carry = tensors[count:]
        rows = self._rows(*inputs).unsqueeze(1)
        after: list[Tensor] = []  # a list, because torch.compile cannot trace others
        if self.history > 1:
            rows = torch.cat([rows, carry[0]], dim=1)
            after = [rows[:, :-1]]
        terms = self.terms(rows)
        outputs = (
            self.head(terms * self.gain) * self.output_std if self.physical else self.head(terms)
        )
        if self.residual is not None:
            added, *rest = self.residual(inputs[-1], *carry[len(after) :])
            return outputs + added, *after, *rest
        return outputs, *after

    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Set the weights to the least-squares solution of inputs (N, H, ...), outputs (N, O)."""
        triangle = Triangle(self.terms.cpu().double())
        with torch.no_grad():
            for number, (*inputs, targets) in enumerate(batches):
                rows = self._rows(*inputs).double().cpu()
                # The first batch sets the centers: all batches must be in the same coordinates.
                if number == 0 and not self.holds_scale:
                    self.terms.center_on(rows.mean((0, 1)))
                triangle.add(rows.flip(1), targets.double().cpu())
            self.terms.to(self.gain)
            self.set(self.solve(triangle))

    def solve(self, triangle: "Triangle") -> "Solution":
        """Return the least-squares solution of the rows of a triangle."""
        count = self.terms.counts[self.history - 1]
        return triangle.solution(count, self.ridge, scaled=self.physical)

    def hold_scale(self) -> None:
        """Keep centers and gains in further fits, because members of an ensemble share buffers."""
        self.holds_scale = True

    def set(self, solution: "Solution") -> None:
        """Set the weights; the outputs were fitted in units of `output_std`."""
        with torch.no_grad():
            if self.holds_scale:
                ratio = solution.gain / torch.where(self.gain > 0.0, self.gain, 1.0)
                self.head.weight.copy_(solution.weight * ratio)
            else:
                self.gain.copy_(solution.gain)
                self.head.weight.copy_(solution.weight)
            self.head.bias.copy_(solution.bias)


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights of scaled terms.

    Attributes:
        gain: 1 / standard deviation of each term, (F,); 0 for a constant term.
        weight: (O, F).
        bias: (O,).
    """

    gain: Tensor
    weight: Tensor
    bias: Tensor


class Triangle:
    """R of the QR decomposition of [1, terms, outputs], updated batch by batch.

    It is exact and of bounded size. The first column is 1, so the rows below the first belong to
    the centered columns. Shorter histories have the first terms, so their R is the upper left part.

    Args:
        terms: terms in float64; None if rows are terms already.
    """

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms
        self.rounding: Tensor | None = None  # RMS error of each term in float32, (F,)
        self.rows = 0
        self.outputs = 0
        self.triangle = torch.empty(0, 0, dtype=torch.float64)

    def add(self, rows: Tensor, targets: Tensor) -> None:
        """Add rows (N, H, C), newest first, or terms (N, F), and outputs (N, O), float64."""
        terms = rows if self.terms is None else self.terms(rows)
        if self.terms is not None and self.rounding is None:
            single = copy.deepcopy(self.terms).float()
            stride = max(1, len(rows) // PROBED)
            rounded = single(rows[::stride].float()).double()
            self.rounding = (rounded - terms[::stride]).square().mean(0).sqrt()
        part = torch.cat([terms.new_ones(len(terms), 1), terms, targets], dim=1)
        stack = torch.cat([self.triangle, part]) if len(self.triangle) else part
        self.triangle = torch.linalg.qr(stack, mode="r").R
        self.rows = self.rows + len(terms)
        self.outputs = targets.shape[1]

    def solution(self, terms: int, ridge: float, *, scaled: bool = True) -> Solution:
        """Return the ridge regression on the first `terms`.

        Args:
            terms: F.
            ridge: penalty on squared weights of scaled terms, relative to the number of rows; the
                constant is not penalized.
            scaled: whether terms are divided by their standard deviations.
        """
        width = self.triangle.shape[1] - self.outputs
        count = terms + 1
        # Row 0 of R belongs to the column of ones: r_0j = ± Σ x_j / √N.
        mean = self.triangle[0] / self.triangle[0, 0]  # of each column
        lhs = self.triangle[1:count, 1:count]
        rhs = self.triangle[1:count, width:]
        std = lhs.norm(dim=0) / self.rows**0.5
        varies = is_varying(std, mean[1:count])  # a term that does not has no weight
        if self.rounding is not None:
            varies &= std > PRECISE * self.rounding[:terms]
        gain = torch.where(varies, 1.0 / torch.where(varies, std, 1.0), 0.0)
        if not scaled:
            gain = torch.ones_like(gain)
        penalty = torch.eye(terms, dtype=torch.float64) * (max(ridge, 0.0) * self.rows) ** 0.5
        stack = torch.cat([lhs * gain, penalty])
        target = torch.cat([rhs, rhs.new_zeros(terms, self.outputs)])
        # gelsy: QR with column pivoting, which copes with terms that repeat each other.
        weight = torch.linalg.lstsq(stack, target, driver="gelsy").solution
        bias = mean[width:] - (mean[1:count] * gain) @ weight
        return Solution(gain, weight.T, bias)
