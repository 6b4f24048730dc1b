"""What each output of a linear model sees, and its least-squares solution.

Symbols: N rows, H rows of history, F features, O outputs.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

Rows = list[list[bool]]


@dataclass(frozen=True)
class Sees:
    """Which features each output sees.

    Attributes:
        own: in all rows, (O, F).
        beside: only how they change from row to row, (O, F).
    """

    own: Rows
    beside: Rows

    @classmethod
    def of(
        cls, columns: Sequence[str], own: Sequence[AbstractSet[str]], groups: Sequence[str]
    ) -> "Sees":
        """Choose by names.

        Args:
            columns: the channel that each feature is of.
            own: the channels that each output sees in all rows.
            groups: patterns; an output sees how those of its group change: of a pattern that one
                of its own channels matches.
        """
        whole = [[name in its for name in columns] for its in own]
        beside: Rows = []
        for its in own:
            near = [one for one in groups if any(fnmatchcase(name, one) for name in its)]
            beside.append(
                [
                    name not in its and any(fnmatchcase(name, one) for one in near)
                    for name in columns
                ]
            )
        return cls(whole, beside)


def least_squares(
    batches: Iterable[tuple[Any, Any]], ridge: float, sees: Sees | None = None
) -> tuple[Any, Any]:
    """Return weight (O, H F) and bias (O,) that minimize the squared error, in float64.

    Only R of a QR decomposition is kept of what was seen: exact, and of bounded size.

    Args:
        batches: features (N, H, F), the newest row last, and the outputs wanted after them (N, O),
            in turn.
        ridge: penalty on squared weights, relative to the number of rows. Where an output sees how
            others change, of those weights alone, in the spreads of the changes.
        sees: what each output sees; default: all.
    """
    import torch

    seen, rows, width, history = torch.empty(0, 0).double(), 0, 0, 0
    for features, wanted in batches:
        ones, history = features.new_ones(len(features), 1), features.shape[1]
        part = torch.cat([features.flatten(1), ones, wanted], dim=1).double().cpu()
        rows, width = rows + len(part), part.shape[1] - wanted.shape[1]
        seen = torch.linalg.qr(torch.cat([seen, part]) if len(seen) else part, mode="r").R
    left, right = seen[:, :width], seen[:, width:]
    root = (ridge * rows) ** 0.5
    if sees is None:
        penalty = torch.full((width,), root).double()
        penalty[-1] = 0.0  # the bias is free
        solution = _solved(left, right, penalty)
        return solution[:-1].T, solution[-1]
    found: list[Any] = []
    for number, (own, beside) in enumerate(zip(sees.own, sees.beside, strict=True)):
        whole, changes = _basis(own, beside, history)
        basis = torch.cat([whole, changes, torch.eye(width).double()[:, -1:]], dim=1)
        shown, count = left @ basis, whole.shape[1]
        penalty = torch.full((basis.shape[1],), root).double()
        if changes.shape[1]:
            mean = shown.T @ left[:, -1] / rows  # the last column is of ones
            square = (shown * shown).sum(0) / rows - mean * mean
            penalty = root * square.clamp_min(0.0).sqrt()
            penalty[:count] = 0.0
        penalty[-1] = 0.0
        found.append(basis @ _solved(shown, right[:, number : number + 1], penalty))
    solution = torch.cat(found, dim=1)
    return solution[:-1].T, solution[-1]


def _solved(left: Any, right: Any, penalty: Any) -> Any:
    """Return weights that minimize the squared error and their penalized squares."""
    import torch

    left = torch.cat([left, torch.diag(penalty)])
    right = torch.cat([right, right.new_zeros(len(penalty), right.shape[1])])
    return torch.linalg.lstsq(left, right, driver="gelsd").solution


def _basis(own: list[bool], beside: list[bool], history: int) -> tuple[Any, Any]:
    """Return what is seen whole and what as changes, in terms of features: (H F + 1, columns)."""
    import torch

    rows, features = torch.eye(history).double(), torch.eye(len(own)).double()
    changes = rows[:, 1:] - rows[:, :-1]
    parts = ((rows, own), (changes, beside))
    found = [torch.kron(part, features[:, torch.tensor(which)]) for part, which in parts]
    whole, differences = (torch.nn.functional.pad(one, (0, 0, 0, 1)) for one in found)
    return whole, differences
