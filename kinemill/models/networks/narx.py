"""Network of a NARX model: a regression whose products are selected by forward selection.

Symbols: N rows, H history, F linear terms, M candidates, K products, O outputs.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from kinemill.models.networks.narx_terms import NarxTerms
from kinemill.models.networks.regression import Regression, Solution, Triangle
from kinemill.models.networks.window_terms import products

CELLS = 8_000_000  # numbers of the candidates over all rows; bounds memory at 64 MB and time
SMALLEST = 1e-300  # norm of a column that is not zero
COLLINEAR = 1e-8  # share of a candidate's square that must remain after the terms selected before
GAIN = 0.99  # times the best error counts as improvement


class Narx(Regression):
    """`Regression` on `NarxTerms`."""

    terms: NarxTerms

    @property
    def selection_rows(self) -> int:
        """Largest number of training rows for the selection, which bounds its memory."""
        return CELLS // len(self.terms.candidates())

    def select(self, batches: Iterable[tuple[Tensor, ...]], error: Callable[[], float]) -> None:
        """Select the products, and set the weights to their least-squares solution.

        Forward selection orders the candidates; `error` decides how many of them stay.

        Args:
            batches: windows (N, H, ...) and outputs (N, O), as for `fit`.
            error: returns the error of the current weights in free run over other rows.
        """
        terms = self.terms
        parts = [
            (torch.cat([states, actions], dim=-1).double().cpu().flip(1), targets.double().cpu())
            for states, actions, _, targets in batches
        ]
        rows, targets = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        terms.cpu().double()
        terms.center_on(rows.mean((0, 1)))
        terms.scale_to(rows)
        candidates = terms.candidates()
        linear = terms.lags(rows)
        library = products(terms.values(rows), candidates)
        order = forward_selection(linear, library, targets, len(terms.factors))
        del library  # up to 64 MB, and overwritten by the selection
        terms.factors.zero_()
        terms.factors[: len(order)] = candidates[order]
        # One QR decomposition serves all sizes: the first k selected terms are its upper left part.
        triangle = Triangle(terms)
        triangle.add(rows, targets)
        terms.to(self.gain)  # back to the device and type of the network

        def error_with(size: int) -> float:
            self.set(self._padded(triangle.solution(linear.shape[1] + size, self.ridge)))
            value = error()
            return value if math.isfinite(value) else math.inf

        errors = {size: error_with(size) for size in _sizes(len(order))}
        # The smallest model within about 1 % of the best error: further terms fit noise.
        enough = min(errors.values()) / GAIN
        size = next(size for size in sorted(errors) if errors[size] <= enough)
        terms.factors[size:] = 0  # products of the constant, which have no weight
        self.set(self._padded(triangle.solution(linear.shape[1] + size, self.ridge)))

    def _padded(self, solution: Solution) -> Solution:
        """Return a solution of fewer terms with zeros for the others."""
        more = len(self.gain) - len(solution.gain)
        gain, weight = (
            functional.pad(part, (0, more)) for part in (solution.gain, solution.weight)
        )
        return Solution(gain, weight, solution.bias)


def _sizes(most: int) -> list[int]:
    """Return the numbers of products to try: 0 to 4, then each a third larger."""
    sizes = [size for size in range(5) if size <= most]
    while sizes[-1] < most:
        sizes.append(min(most, sizes[-1] + max(1, sizes[-1] // 3)))
    return sizes


def forward_selection(linear: Tensor, library: Tensor, targets: Tensor, most: int) -> list[int]:
    """Return the candidates that reduce the error most, in order: orthogonal forward regression.

    In each step the candidate with the largest error reduction ratio, summed over the outputs, is
    selected, and all others are orthogonalized to it (Billings, 2013, section 3.2). A constant and
    the linear terms are in the model from the start. It ends when the information criterion of
    Schwarz (1978) rises.

    Args:
        linear: terms that are in the model, (N, F) float64.
        library: candidates, (N, M) float64; overwritten.
        targets: outputs (N, O) float64, in comparable units.
        most: largest number of candidates.
    """
    start = torch.cat([torch.ones_like(linear[:, :1]), linear], dim=1)
    # Project the linear terms out once; after that only single directions have to be removed.
    basis = torch.linalg.qr(start / start.norm(dim=0).clamp_min(SMALLEST)).Q
    library /= library.norm(dim=0).clamp_min(SMALLEST)
    library -= basis @ (basis.T @ library)
    residual = targets - basis @ (basis.T @ targets)
    order: list[int] = []
    penalty = math.log(len(targets)) / len(targets)
    while len(order) < min(most, library.shape[1]):
        squares = library.square().sum(0)
        total = float(residual.square().sum())
        reduction = (library.T @ residual).square().sum(1) / squares.clamp_min(COLLINEAR)
        reduction = torch.where(squares > COLLINEAR, reduction, 0.0)
        best = int(reduction.argmax())
        ratio = float(reduction[best]) / total if total > 0.0 else 0.0
        # Schwarz (1978): a term must lower N ln(error) by more than ln N.
        if ratio < 1.0 and math.log1p(-ratio) + penalty >= 0.0:
            return order
        order.append(best)
        direction = library[:, best] / squares[best].sqrt()
        library -= torch.outer(direction, direction @ library)
        residual -= torch.outer(direction, direction @ residual)
        library[:, best] = 0.0
    return order
