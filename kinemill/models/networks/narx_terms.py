"""Terms of a NARX model: lags, and selected products of levels, changes and non-smooth functions.

Symbols: B batch, N rows, H history, C columns (states, then actions), Z values, D degree, M
candidates, K selected products, F terms.
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement, product
from math import comb

import torch
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.models._layout import ModelLayout
from kinemill.models.networks.lag_terms import Lags
from kinemill.models.networks.regression import Terms
from kinemill.models.networks.scaling import nonzero_std
from kinemill.models.networks.window_terms import products

# In standard deviations of a level or of a change:
WIDTHS = (0.05, 0.3)  # of tanh(x / width), a smooth sign: a sharp and a soft step
DEAD_ZONES = (0.3, 1.0)  # half widths
ROUGH = len(WIDTHS) + 1 + len(DEAD_ZONES)  # non-smooth functions of a value
MAX_CANDIDATES = 2000


class NarxTerms(Terms):
    """Terms of `Lags`, then K selected products: (B, H, C), newest first -> (B, F).

    A product has up to D factors out of Z values: 1; the levels of the newest row and the changes
    before it, standardized, with angles as sine and cosine; and the smooth sign, the magnitude, and
    the part outside a dead zone of each level and of the newest change of each state. A level
    counts from zero, or from its mean if that is farther from zero than the standard deviation.

    Candidates are the products of up to D smooth values, each non-smooth function, and its products
    with a smooth value. If they are more than MAX_CANDIDATES, there are none of the last kind, then
    fewer rows, then fewer factors.

    Args:
        layout: order of channels; history.
        relative: which columns have changes alone, (C,).
        rows: newest rows whose values are factors.
        degree: D.
        terms: K.

    Raises:
        BadInput: There are too many channels.
    """

    center: Tensor
    rest: Tensor
    std: Tensor
    change_std: Tensor
    factors: Tensor
    straight: Tensor

    def __init__(
        self, layout: ModelLayout, relative: Sequence[bool], rows: int, degree: int, terms: int
    ) -> None:
        super().__init__()
        self.lags = Lags(layout, relative, trigonometric=True)
        self.columns, self.states = self.lags.columns, len(layout.states)
        self.history = int(layout.history)
        angles = [*layout.angles, *[False] * len(layout.actions)]
        flags = zip(angles, relative, strict=True)
        plain = [
            column
            for column, (angle, is_relative) in enumerate(flags)
            if not angle and not is_relative
        ]
        self.register_buffer("straight", torch.tensor(plain, dtype=torch.long), persistent=False)
        changes = self.states if self.history > 1 else 0
        self.rough = ROUGH * (len(plain) + changes)
        levels = len(plain) + 2 * sum(angles)
        self.rows, self.degree, self.mixes = self._size(levels, min(rows, self.history), degree)
        self.smooth = levels + (self.rows - 1) * self.columns
        for name, value in {"center": 0.0, "rest": 0.0, "std": 1.0, "change_std": 1.0}.items():
            self.register_buffer(name, torch.full((self.columns,), value))
        candidates = self.candidates()[:terms]
        factors = torch.zeros(terms, self.degree, dtype=torch.long)
        factors[: len(candidates)] = candidates
        self.register_buffer("factors", factors)
        self.counts = tuple(count + terms for count in self.lags.counts)

    def _size(self, levels: int, rows: int, degree: int) -> tuple[int, int, bool]:
        """Return the most rows and factors, and whether there are mixed products."""
        # Number of monomials up to degree d of n values: C(n + d, d), minus constant and linear.
        for factors in range(degree, 0, -1):
            for newest, mixes in product(range(rows, 0, -1), (factors > 1, False)):
                smooth = levels + (newest - 1) * self.columns
                count = comb(smooth + factors, factors) - smooth - 1
                if count + self.rough * (1 + smooth * mixes) <= MAX_CANDIDATES:
                    return newest, factors, mixes
        raise BadInput(
            "learn.model: narx",
            f"{self.columns} channels",
            expected=f"at most {MAX_CANDIDATES} non-smooth functions, {ROUGH} of each value",
            fix="use linear or mlp, or fewer channels",
        )

    def candidates(self) -> Tensor:
        """Return the factors of each candidate, (M, D) columns of values; 0 is the constant 1."""
        smooth = range(1, 1 + self.smooth)
        degree = self.degree
        rough = range(1 + self.smooth, 1 + self.smooth + self.rough)
        products = [
            factors
            for count in range(2, degree + 1)
            for factors in combinations_with_replacement(smooth, count)
        ]
        products += [(factor,) for factor in rough]
        if self.mixes:
            products += [(first, second) for first in rough for second in smooth]
        padded = [(*factors, *[0] * (degree - len(factors))) for factors in products]
        return torch.tensor(padded, dtype=torch.long).reshape(-1, degree)

    def center_on(self, mean: Tensor) -> None:
        """Subtract a mean (C,), in task units, from the levels; `scale_to` scales the factors."""
        self.lags.center_on(mean)

    def scale_to(self, rows: Tensor) -> None:
        """Set centers and standard deviations of the factors to those of rows (N, H, C)."""
        newest = rows[:, 0]
        self.center.copy_(newest.mean(0))
        self.std.copy_(nonzero_std(newest.std(0), self.center))
        # The kink of |x| belongs at zero for a velocity or a current, at the mean for a level that
        # is far from zero.
        self.rest.copy_(torch.where(self.center.abs() < self.std, 0.0, self.center))
        if self.history > 1:
            change = self.lags.wrap(newest - rows[:, 1])
            self.change_std.copy_(nonzero_std(change.square().mean(0).sqrt()))

    def values(self, rows: Tensor) -> Tensor:
        """Return the factors: (B, H, C), newest first -> (B, Z)."""
        newest = rows[:, 0]
        angle = newest.index_select(1, self.lags.angle)
        level = ((newest - self.center) / self.std).index_select(1, self.straight)
        rough = ((newest - self.rest) / self.std).index_select(1, self.straight)
        parts = [torch.ones_like(newest[:, :1]), level, torch.sin(angle), torch.cos(angle)]
        if self.history > 1:
            used = max(2, self.rows)
            change = self.lags.wrap(rows[:, : used - 1] - rows[:, 1:used]) / self.change_std
            if self.rows > 1:
                parts.append(change.flatten(1))
            rough = torch.cat([rough, change[:, 0, : self.states]], dim=1)
        parts += [torch.tanh(rough / width) for width in WIDTHS]
        parts.append(rough.abs())
        # Not by a clamp, because the Clip operator of ONNX Runtime may lose NaN.
        parts += [
            rough - 0.5 * ((rough + half).abs() - (rough - half).abs()) for half in DEAD_ZONES
        ]
        return torch.cat(parts, dim=1)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the terms: (B, H, C), newest first -> (B, F)."""
        return torch.cat([self.lags(rows), products(self.values(rows), self.factors)], dim=1)
