"""Fit the families of a dataset and select their members.

All members of a family are fitted by ridge regression with one decomposition of the training rows,
and ranked on rows that are left out of their fits.

Symbols: N rows, H history, T horizon, S states, A actions, F terms, O outputs, M members of one
structure and history.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinemill.dataset import PackedDataset
from kinemill.dataset.windows import batches, gather, is_angle
from kinemill.errors import BadInput
from kinemill.models.networks.regression import Triangle
from kinemill.runtime.window_metrics import Predictor, evenly_spaced
from kinemill.selection.constants import (
    COARSE,
    EXACT,
    FITTED,
    NEAR,
    PER_TERM,
    TIE,
)
from kinemill.selection.cross_validation import Fold, left_out_rows
from kinemill.selection.facts import channel_facts, histories_of
from kinemill.selection.references.baselines import Persistence, constant_velocities
from kinemill.selection.references.family import Reference, References
from kinemill.selection.references.step_predictor import StepPredictor, single, stacked
from kinemill.selection.validation_errors import CandidateErrors, mean_errors
from kinemill.task import MODELS, OBJECTIVES
from kinemill.task.document import Task
from kinemill.task.portfolio import HISTORIES, MOST_TERMS, RIDGES, Candidate, Structure
from kinemill.train.data import make_windows
from kinemill.train.devices import single_thread
from kinemill.train.layout import layout_of
from kinemill.train.readout import fit_readout
from kinemill.train.scaling import scale_of
from kinemill.train.step import Step
from kinemill.train.step import make_step as make
from kinemill.train.warm_start import described, description_of, write_trained

UNSTABLE = "no member stays bounded in free runs over rows left out of its fit"

_ROWS = 8192  # training windows in one batch, which bounds memory

_LEFT_OUT = {
    "linear_sincos": "no state is an angle: it would be identical to `linear`",
    "physics": "no state is the derivative of another one (`derivative_of`)",
}


@single_thread()
def fit_references(
    task: Task,
    dataset: PackedDataset,
    folder: Path | None = None,
    *,
    digest: str = "",
    longest: int | None = None,
) -> References:
    """Fit and select the references.

    Args:
        task: task with channels and horizon.
        dataset: dataset with the channels in the order of the task.
        folder: folder to write members to as trained models; None to write none.
        digest: digest of the dataset.
        longest: most rows of history; None for as many as the splits allow.

    Raises:
        BadInput: No episode is long enough for one window.
    """
    histories = _histories(task, dataset, longest)
    folds, about = left_out_rows((dataset, dataset), histories[-1], task.verify.horizon)
    specs, left_out = specs_of(task)
    velocities = constant_velocities(task, is_angle(dataset), histories[-1])
    items = {
        "persistence": _simple([Persistence()], folds),
        "constant_velocity": _simple(velocities, folds),
    }
    for spec in specs:
        if selected := _strongest(spec, folds, histories):
            path = folder / spec.name if folder is not None else None
            items[spec.name] = _reference(spec, dataset, selected, path, digest)
        else:
            left_out[spec.name] = UNSTABLE
    return References(items, left_out, about)


def strongest_members(task: Task, dataset: PackedDataset) -> list[Candidate]:
    """Return the selected member of each family of regressions, as `fit_references` selects it.

    Raises:
        BadInput: No episode is long enough for one window.
    """
    histories = _histories(task, dataset)
    folds, _ = left_out_rows((dataset, dataset), histories[-1], task.verify.horizon)
    members = (_strongest(spec, folds, histories) for spec in specs_of(task)[0])
    return [member.fitted.candidate for member in members if member is not None]


def published_members(task: Task, references: References) -> list[tuple[Candidate, Path]]:
    """Return what `strongest_members` returns, from references, with the folder of each."""
    candidates = list[tuple[Candidate, Path]]()
    for spec in specs_of(task)[0]:
        member = references.items.get(spec.name)
        if member is not None and member.folder is not None and member.facts.ridge is not None:
            name = described(member.folder)["structure"]
            structure = next(item for item in spec.structures if item.name == name)
            candidate = structure.candidate(member.facts.history, member.facts.ridge)
            candidates.append((candidate, member.folder))
    return candidates


def _histories(task: Task, dataset: PackedDataset, longest: int | None = None) -> list[int]:
    most = longest or HISTORIES[-1]
    histories = [rows for rows in histories_of(dataset, task.verify.horizon) if rows <= most]
    if not histories:
        raise BadInput(
            f"references of {task.name}",
            "no training episode has 2 rows, or no episode of the other splits has a window",
            expected="episodes of at least verify.horizon + 1 rows",
            fix="lower verify.horizon, or add longer logs",
        )
    return histories


def _simple(predictors: Sequence[Predictor], folds: Sequence[Fold]) -> Reference:
    """Return the best reference without weights."""
    members = [
        Reference.of(predictor, mean_errors([fold.rows.measure(predictor)[0] for fold in folds]))
        for predictor in predictors
    ]
    return min(members, key=lambda member: member.facts.score)


@dataclass(frozen=True)
class _Fitted:
    """A member of a family.

    Attributes:
        structure: structure of the model.
        history: rows of history.
        ridge: penalty of the regression.
        solution: the weights, a `kinemill.models.networks.regression.Solution`; None if unknown.
    """

    structure: Structure
    history: int
    ridge: float
    solution: Any

    @property
    def candidate(self) -> Candidate:
        """The member as a candidate of a portfolio."""
        return self.structure.candidate(self.history, self.ridge)


@dataclass(frozen=True)
class _Candidate:
    """A member with its mean errors over the folds; `fitted` has the weights of the last fold."""

    fitted: _Fitted
    errors: CandidateErrors


@dataclass(frozen=True)
class _Spec:
    """A family to fit.

    Attributes:
        task: task with the channels.
        structures: candidates, each with several histories and ridges.
    """

    name: str
    task: Task
    structures: tuple[Structure, ...]

    def task_of(self, member: _Fitted) -> Task:
        """Return the task that trains a member; other settings of `learn` are default."""
        settings = member.structure.settings(member.history, member.ridge)
        learn = OBJECTIVES["dynamics"].model_validate({"type": "dynamics", **settings})
        return self.task.model_copy(update={"learn": learn})


def _reference(
    spec: _Spec, dataset: PackedDataset, selected: _Candidate, folder: Path | None, digest: str
) -> Reference:
    """Fit a selected member to all training rows; write it as a trained model to a folder, if any.

    `digest` is that of the dataset.
    """
    fitted = _fit_group(spec, selected.fitted, dataset)
    step = single(make_step(spec, dataset, fitted), fitted.solution)
    if step.readout is not None:
        windows = make_windows(dataset, "train", step.layout, 1)
        fit_readout(step, windows, torch.arange(len(windows)))
    if folder is not None:
        about = description_of(spec.task_of(fitted), (dataset, dataset), digest)
        write_trained(folder, about | {"structure": fitted.structure.name}, step.state_dict())
    return Reference.of(StepPredictor(step), selected.errors, fitted.ridge, folder)


@dataclass(frozen=True)
class _Group:
    """Members of one structure and history, which run as one batch, as fitted for each fold."""

    fitted: list[_Fitted]
    by_fold: list[StepPredictor]

    def ranked(self, folds: Sequence[Fold], *, coarse: bool) -> list[_Candidate]:
        """Return all members with their mean errors over the folds."""
        stride, free_run = (COARSE, False) if coarse else (1, True)
        by_fold = [
            fold.rows.measure(predictor, len(self.fitted), stride, free_run=free_run)
            for fold, predictor in zip(folds, self.by_fold, strict=True)
        ]
        means = (mean_errors(errors) for errors in zip(*by_fold, strict=True))
        return [_Candidate(*pair) for pair in zip(self.fitted, means, strict=True)]


def _strongest(spec: _Spec, folds: Sequence[Fold], histories: list[int]) -> _Candidate | None:
    """Return the member with the smallest score whose free runs stay bounded; None without one.

    Of members with almost the same score it is the one with the shortest history and the largest
    ridge.
    """
    fits = (fit_groups(spec, fold.dataset, histories) for fold in folds)
    by_group = list(zip(*fits, strict=True))  # of each group its members, as fitted for each fold
    groups = [_group(spec, folds, by_fold) for by_fold in by_group]
    coarse = [group.ranked(folds, coarse=True) for group in groups]
    largest = NEAR * min(candidate.errors.score for members in coarse for candidate in members)
    near = list[_Group]()
    for by_fold, members in zip(by_group, coarse, strict=True):
        is_near = [candidate.errors.score <= largest for candidate in members]
        if any(is_near):
            near.append(_group(spec, folds, [list(compress(fold, is_near)) for fold in by_fold]))
    candidates = _bounded(near, folds) or _bounded(groups, folds)
    if not candidates:
        return None
    level = TIE * max(min(candidate.errors.score for candidate in candidates), EXACT)
    tied = [candidate for candidate in candidates if candidate.errors.score <= level]
    return min(tied, key=lambda candidate: (candidate.fitted.history, -candidate.fitted.ridge))


def _bounded(groups: Sequence[_Group], folds: Sequence[Fold]) -> list[_Candidate]:
    """Return the members whose free runs stay bounded."""
    ranked = (group.ranked(folds, coarse=False) for group in groups)
    return [member for members in ranked for member in members if member.errors.stays_bounded]


def _group(spec: _Spec, folds: Sequence[Fold], by_fold: Sequence[list[_Fitted]]) -> _Group:
    predictors = [
        StepPredictor(
            stacked(
                make_step(spec, fold.dataset, fitted[0]), [member.solution for member in fitted]
            )
        )
        for fold, fitted in zip(folds, by_fold, strict=True)
    ]
    return _Group(by_fold[-1], predictors)


def make_step(spec: _Spec, dataset: PackedDataset, member: _Fitted) -> Step:
    """Return the step of a member in float64, without its weights."""
    task = spec.task_of(member)
    layout = layout_of(task)
    learn = task.learn
    step = make(getattr(learn, "model"), layout, scale_of(dataset, layout))  # noqa: B009
    step.network.terms.center_on(torch.from_numpy(np.asarray(dataset.mean)))
    return step.double().eval()


def fit_groups(spec: _Spec, dataset: PackedDataset, histories: list[int]) -> list[list[_Fitted]]:
    """Return one group per structure and history, each with one member per ridge."""
    return [
        group
        for structure in spec.structures
        for group in _fit(spec, structure, dataset, histories)
    ]


def _fit_group(spec: _Spec, member: _Fitted, dataset: PackedDataset) -> _Fitted:
    """Return a member fitted to all training rows of a dataset."""
    ((*group,),) = _fit(spec, member.structure, dataset, [member.history])
    return next(fitted for fitted in group if fitted.ridge == member.ridge)


def _fit(
    spec: _Spec, structure: Structure, dataset: PackedDataset, histories: list[int]
) -> list[list[_Fitted]]:
    longest = structure.longest or max(histories)
    lengths = [rows for rows in histories if rows <= longest]
    step = make_step(spec, dataset, _Fitted(structure, lengths[-1], 0.0, None))
    counts = step.network.terms.counts
    usable = [rows for rows in lengths if counts[rows - 1] <= MOST_TERMS] or lengths[:1]
    if usable[-1] != lengths[-1]:
        step = make_step(spec, dataset, _Fitted(structure, usable[-1], 0.0, None))
    # The terms of a shorter history are the first ones of a longer history, so one decomposition
    # of the longest history gives the solutions of all.
    triangle = Triangle(step.network.terms)
    with torch.inference_mode():
        for rows, outputs in _examples(step, dataset):
            triangle.add(rows, outputs)
        return [
            [
                _Fitted(structure, rows, ridge, triangle.solution(counts[rows - 1], ridge))
                for ridge in RIDGES
            ]
            for rows in usable
        ]


def _examples(step: Step, dataset: PackedDataset) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows (N, H, C), newest first, and outputs (N, O) of evenly spaced training windows."""
    history = step.history
    starts = dataset.window_starts("train", history + 1)
    most = max(FITTED, PER_TERM * step.network.terms.counts[-1])
    starts = evenly_spaced(starts, most)
    for part in batches(starts, _ROWS):
        windows = gather(dataset, part, history, 1)
        actions = np.concatenate([windows.past_actions, windows.actions], axis=1)
        rows = torch.from_numpy(np.concatenate([windows.states, actions], axis=2))
        after = torch.from_numpy(windows.truth[:, 0])
        state = rows[:, -1, : len(step.layout.states)]
        yield rows.flip(1), step.target_outputs(state, after)


def specs_of(task: Task) -> tuple[list[_Spec], dict[str, str]]:
    """Return the families to fit, and the reasons why others are left out."""
    facts = channel_facts(task)
    families: dict[str, list[Structure]] = {}
    for model in MODELS:
        for structure in MODELS[model].structures(facts):
            families.setdefault(structure.family, []).append(structure)
    specs = [_Spec(name, task, tuple(structures)) for name, structures in families.items()]
    return specs, {name: why for name, why in _LEFT_OUT.items() if name not in families}
