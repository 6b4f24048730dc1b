"""Ridge regression of all members of a family with one decomposition of the training rows.

Symbols: N rows, H history, T horizon, S states, A actions, F terms, O outputs, M members.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinemill.dataset import PackedDataset
from kinemill.dataset.windows import gather
from kinemill.models.networks.regression import Triangle
from kinemill.runtime.window_metrics import evenly_spaced
from kinemill.selection.constants import (
    FITTED,
    PER_TERM,
)
from kinemill.selection.references.specs import Spec
from kinemill.task.portfolio import MOST_TERMS, RIDGES, Candidate, Structure
from kinemill.train.layout import layout_of
from kinemill.train.scaling import scale_of
from kinemill.train.step import Step
from kinemill.train.step import make_step as make

ROWS = 8192  # training windows in one batch, which bounds memory


@dataclass(frozen=True)
class Fitted:
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


def make_step(spec: Spec, dataset: PackedDataset, member: Fitted) -> Step:
    """Return the step of a member in float64, without its weights."""
    task = spec.task_of(member.structure, member.history, member.ridge)
    layout = layout_of(task)
    learn = task.learn
    step = make(getattr(learn, "model"), layout, scale_of(dataset, layout))  # noqa: B009
    step.network.terms.center_on(torch.from_numpy(np.asarray(dataset.mean)))
    return step.double().eval()


def fit_groups(spec: Spec, dataset: PackedDataset, histories: list[int]) -> list[list[Fitted]]:
    """Return one group per structure and history, each with one member per ridge."""
    return [
        group
        for structure in spec.structures
        for group in _fit(spec, structure, dataset, histories)
    ]


def fit_group(spec: Spec, member: Fitted, dataset: PackedDataset) -> Fitted:
    """Return a member fitted to all training rows of a dataset."""
    ((*group,),) = _fit(spec, member.structure, dataset, [member.history])
    return next(fitted for fitted in group if fitted.ridge == member.ridge)


def _fit(
    spec: Spec, structure: Structure, dataset: PackedDataset, histories: list[int]
) -> list[list[Fitted]]:
    longest = structure.longest or max(histories)
    lengths = [rows for rows in histories if rows <= longest]
    step = make_step(spec, dataset, Fitted(structure, lengths[-1], 0.0, None))
    counts = step.network.terms.counts
    usable = [rows for rows in lengths if counts[rows - 1] <= MOST_TERMS] or lengths[:1]
    if usable[-1] != lengths[-1]:
        step = make_step(spec, dataset, Fitted(structure, usable[-1], 0.0, None))
    # The terms of a shorter history are the first ones of a longer history, so one decomposition
    # of the longest history gives the solutions of all.
    triangle = Triangle()
    with torch.inference_mode():
        for terms, outputs in _examples(step, dataset):
            triangle.add(terms, outputs)
        return [
            [
                Fitted(structure, rows, ridge, triangle.solution(counts[rows - 1], ridge))
                for ridge in RIDGES
            ]
            for rows in usable
        ]


def _examples(step: Step, dataset: PackedDataset) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield terms (N, F) and outputs (N, O) of evenly spaced training windows, float64."""
    history = step.history
    terms = step.network.terms
    starts = dataset.window_starts("train", history + 1)
    most = max(FITTED, PER_TERM * terms.counts[-1])
    starts = evenly_spaced(starts, most)
    for first in range(0, len(starts), ROWS):
        windows = gather(dataset, starts[first : first + ROWS], history, 1)
        actions = np.concatenate([windows.past_actions, windows.actions], axis=1)
        rows = torch.from_numpy(np.concatenate([windows.states, actions], axis=2))
        after = torch.from_numpy(windows.truth[:, 0])
        state = rows[:, -1, : len(step.layout.states)]
        yield terms(rows.flip(1)), step.target_outputs(state, after)
