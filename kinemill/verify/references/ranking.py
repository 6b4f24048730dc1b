"""Rank the members of a family by their errors on validation rows.

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
from kinemill.verify.references.step_predictor import StepPredictor, stacked

# All members are ranked on every fourth of many windows. Members with an error up to 1.15 times the
# smallest one, at the horizon or over all horizons, are then ranked on all windows.
COARSE = 4
NEAR = 1.15
# Relative increase of the error at the horizon that smaller errors at shorter horizons may cost.
LEEWAY = 0.05


@dataclass
class _Group:
    """Members of one structure and history, which run as one batch.

    Attributes:
        errors: nRMSE of each member at each horizon, (M, K).
        stacked: all members as one predictor.
        is_stable: whether each member stays bounded over whole episodes; empty before the test.
    """

    fitted: list[Fitted]
    errors: Floats
    stacked: StepPredictor
    is_stable: list[bool] = field(default_factory=list[bool])


@dataclass(frozen=True, eq=False)
class Candidate:
    """A member, as a group and a number in it."""

    group: _Group
    number: int

    @property
    def fitted(self) -> Fitted:
        """Settings and weights."""
        return self.group.fitted[self.number]

    @property
    def errors(self) -> Floats:
        """NRMSE at each horizon, (K,)."""
        return self.group.errors[self.number]

    @property
    def nrmse(self) -> float:
        """NRMSE at the last horizon."""
        return float(self.errors[-1])

    @property
    def overall(self) -> float:
        """Geometric mean of nRMSE over the horizons."""
        return float(np.exp(np.log(np.maximum(self.errors, EXACT)).mean()))

    def lasts(self, ground: Ground) -> bool:
        """Return whether it stays bounded over whole episodes; tests its whole group in a batch."""
        if not self.group.is_stable:
            stable = ground.lasts(self.group.stacked, len(self.group.fitted))
            self.group.is_stable = stable.tolist()
        return self.group.is_stable[self.number]


def candidates_of(
    spec: Spec, dataset: PackedDataset, ground: Ground, histories: list[int]
) -> list[Candidate]:
    """Return all members of a family that stay finite over the windows."""
    groups = [_group(spec, dataset, ground, fits) for fits in fit_groups(spec, dataset, histories)]
    candidates = _finite(groups)
    if not candidates:
        return []
    at_end = NEAR * min(candidate.nrmse for candidate in candidates)
    overall = NEAR * min(candidate.overall for candidate in candidates)
    close = [
        candidate
        for candidate in candidates
        if candidate.nrmse <= at_end or candidate.overall <= overall
    ]
    close_groups = list({id(candidate.group): candidate.group for candidate in close}.values())
    for group in close_groups:
        group.errors = ground.errors(group.stacked, len(group.fitted))
    return _finite(close_groups)  # errors of other groups are from fewer windows, not comparable


def strongest(candidates: Sequence[Candidate]) -> Candidate:
    """Return the member with the smallest error at the horizon.

    Of members with almost the same error there, it is the one with the smallest errors at shorter
    horizons: with a reference that is weak one step ahead, models that are worse there would pass.
    """
    return _ordered(candidates)[0]


def is_stable(
    candidates: Sequence[Candidate], references: Sequence[Floats], ground: Ground
) -> Candidate | None:
    """Return the strongest member that stays bounded over whole episodes; None if none does.

    Members that no other family beats at any horizon come first, because a reference that becomes
    champion must not be worse than any other reference.

    Args:
        candidates: members of the family.
        references: nRMSE of the strongest member of each other family, (K,) each.
        ground: data with the whole episodes.
    """
    bars = [(1.0 + TIE) * np.maximum(errors, EXACT) for errors in references]
    unsurpassed = [
        candidate
        for candidate in candidates
        if all((candidate.errors <= bar).all() for bar in bars)
    ]
    ranked = [*(_ordered(unsurpassed) if unsurpassed else []), *_ordered(candidates)]
    return next((candidate for candidate in ranked if candidate.lasts(ground)), None)


def _ordered(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return members, the strongest first; of equal ones, the shortest history, largest ridge."""
    level = (1.0 + LEEWAY) * max(min(candidate.nrmse for candidate in candidates), EXACT)
    among = [candidate.overall for candidate in candidates if candidate.nrmse <= level]
    equal = (1.0 + TIE) * max(min(among), EXACT)

    def order(candidate: Candidate) -> tuple[float, float, int, float]:
        behind = max(candidate.nrmse, level)
        return (
            behind,
            max(candidate.overall, equal),
            candidate.fitted.history,
            -candidate.fitted.ridge,
        )

    return sorted(candidates, key=order)


def _finite(groups: Sequence[_Group]) -> list[Candidate]:
    return [
        Candidate(group, number)
        for group in groups
        for number, errors in enumerate(group.errors)
        if np.isfinite(errors).all()
    ]


def _group(spec: Spec, dataset: PackedDataset, ground: Ground, fitted: list[Fitted]) -> _Group:
    step = make_step(spec, dataset, fitted[0])
    predictor = StepPredictor(stacked(step, [member.solution for member in fitted]))
    stride = max(1, min(COARSE, len(ground.windows.states) // LEAST))
    return _Group(fitted, ground.errors(predictor, len(fitted), stride), predictor)
