"""A network that is linear in given terms of the last rows, fitted in closed form.

`arx` and `physics` differ in their terms alone. Symbols: B batch, N windows, H history, C columns
(states, then actions), F terms, O outputs.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

STILL = 1e-12  # a term that varies less in training has no weight


class Terms(nn.Module):
    """What a regression is linear in: (B, H, C) in task units, newest row first -> (B, F).

    The terms of a shorter history come first: `counts[h - 1]` of them need `h` rows.

    Attributes:
        counts: number of terms by history, 1 to H.
        columns: C.
    """

    counts: tuple[int, ...]
    columns: int

    def center_on(self, mean: Tensor) -> None:
        """Take a mean (C,) off the columns from now on: large offsets would cost digits."""
        raise NotImplementedError


class Regression(nn.Module):
    """`(state (B, S), action (B, A), features, window (B, H-1, C)) -> outputs (B, O), window`.

    The window holds raw rows, the newest first. Each term is divided by its spread in training and
    each output comes out in its own unit.

    Args:
        terms: what it is linear in.
        history: H.
        output_std: spread of each output in training, (O,).
        ridge: penalty on squared weights of scaled terms, relative to the rows fitted.
    """

    physical = True
    gain: Tensor
    output_std: Tensor

    def __init__(self, terms: Terms, history: int, output_std: Tensor, ridge: float) -> None:
        super().__init__()
        self.terms, self.history, self.ridge = terms, history, ridge
        count = terms.counts[history - 1]
        self.head: nn.Module = nn.Linear(count, len(output_std))
        self.register_buffer("gain", torch.ones(count))
        self.register_buffer("output_std", output_std.float())
        self.carry_shapes = ((history - 1, terms.columns),) if history > 1 else ()

    def warm_up(self, states: Tensor, actions: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        """Return the window after rows (B, K, ...), the oldest first; rows before them are 0."""
        del features
        if self.history == 1:
            return ()
        rows = torch.cat([states, actions], dim=-1).flip(1)[:, : self.history - 1]
        missing = self.history - 1 - rows.shape[1]
        return (functional.pad(rows, (0, 0, 0, missing)) if missing else rows,)

    def forward(
        self, state: Tensor, action: Tensor, features: Tensor, *carry: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the outputs after this row, and the window with it."""
        del features
        rows = torch.cat([state, action], dim=-1).unsqueeze(1)
        if self.history > 1:
            rows = torch.cat([rows, carry[0]], dim=1)
        outputs = self.head(self.terms(rows) * self.gain) * self.output_std
        return (outputs, rows[:, :-1]) if self.history > 1 else (outputs,)

    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Set the weights to the least-squares solution; windows (N, H, ...), outputs (N, O)."""
        triangle = Triangle()
        with torch.no_grad():
            for number, (states, actions, _, wanted) in enumerate(batches):
                rows = torch.cat([states, actions], dim=-1).double().cpu()
                if number == 0:
                    self.terms.center_on(rows.mean((0, 1)))
                triangle.add(self.terms.cpu().double()(rows.flip(1)), wanted.double().cpu())
            self.terms.to(self.gain)
            self.set(triangle.solution(self.terms.counts[self.history - 1], self.ridge))

    def set(self, solution: "Solution") -> None:
        """Take the weights over; outputs were fitted in units of `output_std`."""
        head: Any = self.head
        with torch.no_grad():
            self.gain.copy_(solution.gain)
            head.weight.copy_(solution.weight)
            head.bias.copy_(solution.bias)


class Solution:
    """Weights of scaled terms.

    Attributes:
        gain: 1 / spread of each term, (F,); 0 for a term that never moves.
        weight: (O, F).
        bias: (O,).
    """

    def __init__(self, gain: Tensor, weight: Tensor, bias: Tensor) -> None:
        self.gain, self.weight, self.bias = gain, weight, bias


class Triangle:
    """R of the QR decomposition of [1, terms, outputs], one batch after the other.

    It is exact and of bounded size. As 1 is the first column, all below the first row belongs to
    the centered columns; as shorter histories have the first terms, their R is its upper left part.
    """

    def __init__(self) -> None:
        self.rows, self.outputs = 0, 0
        self.seen = torch.empty(0, 0, dtype=torch.float64)

    def add(self, terms: Tensor, wanted: Tensor) -> None:
        """Take in terms (N, F) and the outputs (N, O) that followed, float64."""
        part = torch.cat([terms.new_ones(len(terms), 1), terms, wanted], dim=1)
        stack = torch.cat([self.seen, part]) if len(self.seen) else part
        self.seen = torch.linalg.qr(stack, mode="r").R
        self.rows, self.outputs = self.rows + len(terms), wanted.shape[1]

    def solution(self, terms: int, ridge: float) -> Solution:
        """Return the ridge regression on the first `terms`.

        Args:
            terms: how many of them, F.
            ridge: penalty on squared weights of scaled terms, relative to the number of rows; the
                constant is free.
        """
        width, count = self.seen.shape[1] - self.outputs, terms + 1
        mean = self.seen[0] / self.seen[0, 0]  # of each column
        left, right = self.seen[1:count, 1:count], self.seen[1:count, width:]
        spread = left.norm(dim=0) / self.rows**0.5
        moves = spread > STILL * (1.0 + mean[1:count].abs())
        gain = torch.where(moves, 1.0 / torch.where(moves, spread, 1.0), 0.0)
        penalty = torch.eye(terms, dtype=torch.float64) * (max(ridge, 0.0) * self.rows) ** 0.5
        stack = torch.cat([left * gain, penalty])
        target = torch.cat([right, right.new_zeros(terms, self.outputs)])
        weight = torch.linalg.lstsq(stack, target, driver="gelsy").solution
        bias = mean[width:] - (mean[1:count] * gain) @ weight
        return Solution(gain, weight.T, bias)
