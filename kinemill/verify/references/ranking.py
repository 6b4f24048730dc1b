"""Ranking the members of a family by their errors on validation rows.

Symbols: M members of one structure and history, K horizons, the last of which is `verify.horizon`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.runtime.window_metrics import Floats
from kinemill.verify.references.family import EXACT, TIE
from kinemill.verify.references.ridge import Fitted, fit_groups, make_step
from kinemill.verify.references.selection import LEAST, Ground
from kinemill.verify.references.specs import Spec
from kinemill.verify.references.step_predictor import StepPredictor

COARSE = 4  # each so-manieth of many windows ranks all members; all of them rank those up to
NEAR = 1.15  # times the smallest, at the horizon or over all horizons
LEEWAY = 0.05  # relative error at the horizon that is given for smaller errors before it


@dataclass
class _Group:
    """Members of one structure and history, that run as one batch.

    Attributes:
        fitted: each of them.
        errors: of each, (M, K).
        stacked: all of them as one predictor.
        is_stable: whether each stays bounded over whole episodes; empty: not tested yet.
    """

    fitted: list[Fitted]
    errors: Floats
    stacked: StepPredictor
    is_stable: list[bool] = field(default_factory=list[bool])


@dataclass(frozen=True, eq=False)
class Candidate:
    """One member among all of its family."""

    group: _Group
    number: int

    @property
    def fitted(self) -> Fitted:
        """Its weights."""
        return self.group.fitted[self.number]

    @property
    def errors(self) -> Floats:
        """Its nrmse at each horizon, (K,)."""
        return self.group.errors[self.number]

    @property
    def nrmse(self) -> float:
        """Its nrmse at the horizon."""
        return float(self.errors[-1])

    @property
    def overall(self) -> float:
        """The geometric mean of its errors over the horizons."""
        return float(np.exp(np.log(np.maximum(self.errors, EXACT)).mean()))

    def lasts(self, ground: Ground) -> bool:
        """Return whether it stays bounded over whole episodes; its group runs as one batch."""
        if not self.group.is_stable:
            every = ground.lasts(self.group.stacked, len(self.group.fitted))
            self.group.is_stable = every.tolist()
        return self.group.is_stable[self.number]


def candidates_of(
    spec: Spec, dataset: PackedDataset, ground: Ground, histories: list[int]
) -> list[Candidate]:
    """Return all members of a family that stay finite over the windows."""
    groups = [_group(spec, dataset, ground, one) for one in fit_groups(spec, dataset, histories)]
    candidates = _finite(groups)
    if not candidates:
        return []
    near = [NEAR * min(key(one) for one in candidates) for key in (_at_end, _over_all)]
    close = [one for one in candidates if _at_end(one) <= near[0] or _over_all(one) <= near[1]]
    close_groups = list({id(one.group): one.group for one in close}.values())
    for group in close_groups:
        group.errors = ground.errors(group.stacked, len(group.fitted))
    return _finite(close_groups)  # the others were measured on fewer windows


def strongest(candidates: Sequence[Candidate]) -> Candidate:
    """Return the member with the smallest error at the horizon.

    Errors that are all but as small give way to smaller errors before the horizon, as one that is
    weak one step ahead would let models pass that are worse there.
    """
    return _ordered(candidates)[0]


def is_stable(
    candidates: Sequence[Candidate], others: Sequence[Floats], ground: Ground
) -> Candidate | None:
    """Return the strongest member that stays bounded over whole episodes; None if none does.

    Members that no other family beats at any horizon come first: a reference that becomes
    champion must not be worse than any other reference.

    Args:
        candidates: members of the family.
        others: errors of the strongest members of other families, (K,) each.
        ground: with the whole episodes.
    """
    bars = [(1.0 + TIE) * np.maximum(errors, EXACT) for errors in others]
    unsurpassed = [one for one in candidates if all((one.errors <= bar).all() for bar in bars)]
    ranked = [*(_ordered(unsurpassed) if unsurpassed else []), *_ordered(candidates)]
    return next((one for one in ranked if one.lasts(ground)), None)


def _ordered(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return members, the strongest first; among equals the shortest history, largest ridge."""
    level = (1.0 + LEEWAY) * max(min(one.nrmse for one in candidates), EXACT)
    among = [one.overall for one in candidates if one.nrmse <= level]
    equal = (1.0 + TIE) * max(min(among), EXACT)

    def order(one: Candidate) -> tuple[float, float, int, float]:
        behind = max(one.nrmse, level)
        return behind, max(one.overall, equal), one.fitted.history, -one.fitted.ridge

    return sorted(candidates, key=order)


def _at_end(one: Candidate) -> float:
    return one.nrmse


def _over_all(one: Candidate) -> float:
    return one.overall


def _finite(groups: Sequence[_Group]) -> list[Candidate]:
    return [
        Candidate(group, number)
        for group in groups
        for number, errors in enumerate(group.errors)
        if np.isfinite(errors).all()
    ]


def _group(spec: Spec, dataset: PackedDataset, ground: Ground, fitted: list[Fitted]) -> _Group:
    from kinemill.verify.references.batch_predictor import stacked

    step = make_step(spec, dataset, fitted[0])
    predictor = StepPredictor(stacked(step, [one.solution for one in fitted]))
    every = max(1, min(COARSE, len(ground.windows.states) // LEAST))
    return _Group(fitted, ground.errors(predictor, len(fitted), every), predictor)
