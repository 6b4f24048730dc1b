"""Fitting the families of a dataset and choosing their members."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.runtime.windows import Floats
from kinemill.spec.task import Task
from kinemill.verify.accuracy import is_angle
from kinemill.verify.references.choosing import Ground, ground_of
from kinemill.verify.references.family import (
    EXACT,
    TIE,
    Member,
    Reference,
    References,
    smallest,
)
from kinemill.verify.references.fitting import (
    HISTORIES,
    Fitted,
    fit_groups,
    histories_of,
    make_step,
)
from kinemill.verify.references.simple import Persistence, constant_velocities
from kinemill.verify.references.specs import Spec, specs_of
from kinemill.verify.references.stepping import StepPredictor
from kinemill.verify.scale import training_spread

COARSE = 4  # each so-manieth window ranks all members; all windows rank those with errors up to
NEAR = 1.1  # times the smallest
NOT_FINITE = "none of its members stays finite on validation rows"
Chosen = tuple[Member, Member | None]  # the strongest, and the strongest that lasts


def fit_references(
    task: Task,
    dataset: PackedDataset,
    folder: Path | None = None,
    *,
    digest: str = "",
    longest: int | None = None,
) -> References:
    """Fit and choose the references.

    Args:
        task: whose channels and horizon.
        dataset: rows in the order of its channels.
        folder: where members are written as trained models; None: nowhere.
        digest: of the dataset.
        longest: rows of history at most; None: as many as the splits allow.

    Raises:
        BadInput: no episode is long enough for one window.
    """
    verify, most = task.verify, longest or HISTORIES[-1]
    histories = [rows for rows in histories_of(dataset, verify.horizon) if rows <= most]
    if not histories:
        raise BadInput(
            f"references of {task.name}",
            "no episode of the training split has 2 rows, or none of another split a window",
            expected="episodes of at least verify.horizon + 1 rows",
            fix="lower verify.horizon, or give longer logs",
        )
    ground = ground_of(
        dataset, histories[-1], verify.horizon, verify.stride, training_spread(dataset)
    )
    specs, left_out = specs_of(task)
    angle, place = is_angle(dataset), Place(dataset, ground, folder, digest)
    found: dict[str, Chosen | None] = {
        "persistence": _simple([Persistence()], ground),
        "constant_velocity": _simple(constant_velocities(task, angle), ground),
        **{spec.name: choose(spec, place, histories) for spec in specs},
    }
    left_out |= {name: NOT_FINITE for name, chosen in found.items() if chosen is None}
    items = {name: Reference(name, *chosen) for name, chosen in found.items() if chosen}
    return References(items, left_out, ground.split)


def _simple(predictors: list[Any], ground: Ground) -> Chosen | None:
    """Choose among references without weights; persistence is what others are measured by."""
    members = [
        Member(
            one,
            {"history": one.history},
            float(ground.error(one)[0]),
            isinstance(one, Persistence) or bool(ground.lasts(one)[0]),
        )
        for one in predictors
    ]
    finite = [member for member in members if np.isfinite(member.nrmse)]
    lasting = [member for member in finite if member.stable]
    if not finite:
        return None
    return smallest(finite), smallest(lasting) if lasting else None


@dataclass(frozen=True)
class Place:
    """Where members are fitted, chosen and written.

    Attributes:
        dataset: whose training rows.
        ground: the validation rows.
        folder: where they are written; None: nowhere.
        digest: of the dataset.
    """

    dataset: PackedDataset
    ground: Ground
    folder: Path | None
    digest: str


@dataclass
class _Group:
    """Members of one variant and history, that run as one batch.

    Attributes:
        fitted: each of them.
        errors: of each at the horizon.
        stacked: all of them as one predictor.
        lasting: whether each stays bounded over whole episodes; empty: not tried yet.
    """

    fitted: list[Fitted]
    errors: Floats
    stacked: StepPredictor
    lasting: list[bool] = field(default_factory=list[bool])

    @property
    def smallest(self) -> float:
        """The smallest error of a member; infinite if none is finite."""
        return float(np.min(self.errors[np.isfinite(self.errors)], initial=np.inf))

    def lasts(self, number: int, ground: Ground) -> bool:
        """Return whether a member stays bounded; all are tried at once."""
        if not self.lasting:
            self.lasting = ground.lasts(self.stacked, len(self.fitted)).tolist()
        return self.lasting[number]


def choose(spec: Spec, place: Place, histories: list[int]) -> Chosen | None:
    """Return the strongest member of a family, and the strongest that lasts, if any."""
    groups = [_group(spec, place, one) for one in fit_groups(spec, place.dataset, histories)]
    near = NEAR * min((one.smallest for one in groups), default=np.inf)
    for group in groups:
        if group.smallest <= near:
            group.errors = place.ground.error(group.stacked, len(group.fitted))
    ranked = _ranked(groups)
    if not ranked:
        return None
    strongest = ranked[0]
    stable = next((one for one in ranked if one[1].lasts(one[2], place.ground)), None)

    def made(one: tuple[float, _Group, int], *, lasts: bool) -> Member:
        return _made(spec, place, (one[0], one[1].fitted[one[2]]), lasts=lasts)

    lasting = made(stable, lasts=True) if stable is not None else None
    if stable is strongest and lasting is not None:
        return lasting, lasting
    return made(strongest, lasts=False), lasting


def _ranked(groups: list[_Group]) -> list[tuple[float, _Group, int]]:
    """Return the error, group and number of each finite member, the strongest first.

    Among errors as small as the smallest, the shortest history and the largest ridge come first:
    they are the surest elsewhere.
    """
    finite = [
        (float(error), group, number)
        for group in groups
        for number, error in enumerate(group.errors)
        if np.isfinite(error)
    ]
    level = (1.0 + TIE) * max(min((one[0] for one in finite), default=0.0), EXACT)

    def order(one: tuple[float, _Group, int]) -> tuple[float, float, float]:
        member = one[1].fitted[one[2]]
        return max(one[0], level), member.history, -member.ridge

    return sorted(finite, key=order)


def _group(spec: Spec, place: Place, fitted: list[Fitted]) -> _Group:
    from kinemill.verify.references.stacking import stacked

    step = make_step(spec, place.dataset, fitted[0])
    predictor = StepPredictor(stacked(step, [one.solution for one in fitted]))
    return _Group(fitted, place.ground.error(predictor, len(fitted), COARSE), predictor)


def _made(spec: Spec, place: Place, chosen: tuple[float, Fitted], *, lasts: bool) -> Member:
    """Make a member on its own, and write it as a trained model."""
    from kinemill.verify.references.stacking import single

    error, fitted = chosen
    step, own = single(make_step(spec, place.dataset, fitted), fitted.solution), None
    if place.folder is not None:
        own = place.folder / (spec.name if lasts else f"{spec.name}-unstable")
        _write(own, spec, fitted, place, step)
    settings = {"history": fitted.history, "ridge": fitted.ridge}
    return Member(StepPredictor(step), settings, error, lasts, own)


def _write(folder: Path, spec: Spec, fitted: Fitted, place: Place, step: Any) -> None:
    from safetensors.torch import save_file

    from kinemill.train.start import DESCRIPTION, WEIGHTS, description_of

    folder.mkdir()
    task = spec.task_of(fitted.variant, fitted.history, fitted.ridge)
    about = description_of(task, (place.dataset, place.dataset), place.digest)
    (folder / DESCRIPTION).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n")
    weights = {name: value.contiguous() for name, value in step.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
