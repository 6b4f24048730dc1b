"""Fit the families of a dataset and select their members."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import training_scale
from kinemill.dataset.windows import is_angle
from kinemill.errors import BadInput
from kinemill.runtime.window_metrics import Predictor
from kinemill.selection.portfolio.histories import histories_of
from kinemill.task.document import Task
from kinemill.task.portfolio import HISTORIES
from kinemill.train.data import make_windows
from kinemill.train.devices import single_thread
from kinemill.train.readout import fit_readout
from kinemill.train.step import Step
from kinemill.train.warm_start import DESCRIPTION, WEIGHTS, description_of
from kinemill.verify.references.baselines import Persistence, constant_velocities
from kinemill.verify.references.family import Member, Reference, References
from kinemill.verify.references.ranking import Candidate, candidates_of, is_stable, strongest
from kinemill.verify.references.ridge import Fitted, make_step
from kinemill.verify.references.selection import Ground, ground_of
from kinemill.verify.references.specs import Spec, specs_of
from kinemill.verify.references.step_predictor import StepPredictor, single

NOT_FINITE = "none of its members stays finite on validation rows"


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
    verify = task.verify
    most = longest or HISTORIES[-1]
    histories = [rows for rows in histories_of(dataset, verify.horizon) if rows <= most]
    if not histories:
        raise BadInput(
            f"references of {task.name}",
            "no training episode has 2 rows, or no episode of the other splits has a window",
            expected="episodes of at least verify.horizon + 1 rows",
            fix="lower verify.horizon, or add longer logs",
        )
    std = training_scale(dataset).std
    ground = ground_of(dataset, histories[-1], verify.horizon, verify.stride, std)
    specs, left_out = specs_of(task)
    angle = is_angle(dataset)
    scope = Scope(dataset, folder, digest)
    items = {"persistence": _simple([Persistence()], ground)}
    velocities = constant_velocities(task, angle, histories[-1])
    items["constant_velocity"] = _simple(velocities, ground)
    for name, baseline in task.verify.baselines.items():
        if baseline.history > histories[-1]:
            rows = f"{baseline.history} rows of history, and the episodes allow {histories[-1]}"
            left_out[name] = f"needs {rows}"
        else:
            items[name] = _simple([baseline], ground)
    candidates_by_spec = {
        spec.name: candidates_of(spec, dataset, ground, histories) for spec in specs
    }
    left_out |= {
        name: NOT_FINITE for name, candidates in candidates_by_spec.items() if not candidates
    }
    first = {
        name: strongest(candidates) for name, candidates in candidates_by_spec.items() if candidates
    }
    for spec in specs:
        if spec.name in first:
            rest = [candidate.errors for name, candidate in first.items() if name != spec.name]
            selected = first[spec.name], is_stable(candidates_by_spec[spec.name], rest, ground)
            items[spec.name] = _reference(spec, scope, selected)
    return References(items, left_out, ground.split)


def _simple(predictors: Sequence[Predictor], ground: Ground) -> Reference:
    """Select among references without weights; persistence always counts as stable."""
    members = [
        Member(
            predictor,
            predictor.history,
            None,
            float(ground.errors(predictor)[0, -1]),
            isinstance(predictor, Persistence) or bool(ground.lasts(predictor)[0]),
        )
        for predictor in predictors
    ]
    stable = [member for member in members if member.stable]
    best = min(members, key=lambda member: member.nrmse)
    return Reference(best, min(stable, key=lambda member: member.nrmse, default=None))


@dataclass(frozen=True)
class Scope:
    """Data to fit members, and the folder to write them to.

    Attributes:
        dataset: dataset with the training rows.
        folder: folder to write members to; None to write none.
        digest: digest of the dataset.
    """

    dataset: PackedDataset
    folder: Path | None
    digest: str


def _reference(spec: Spec, scope: Scope, selected: tuple[Candidate, Candidate | None]) -> Reference:
    best, stable = selected
    made = _made(spec, scope, (best.nrmse, best.fitted), lasts=best is stable)
    if stable is None or stable is best:
        return Reference(made, made if stable is best else None)
    member = _made(spec, scope, (stable.nrmse, stable.fitted), lasts=True)
    return Reference(made, member)


def _made(spec: Spec, scope: Scope, selected: tuple[float, Fitted], *, lasts: bool) -> Member:
    """Return the selected member as a separate model, and write it to the folder, if any."""
    error, fitted = selected
    step = single(make_step(spec, scope.dataset, fitted), fitted.solution)
    path = None
    if step.readout is not None:
        windows = make_windows(scope.dataset, "train", step.layout, 1)
        fit_readout(step, windows, torch.arange(len(windows)))
    if scope.folder is not None:
        path = scope.folder / (spec.name if lasts else f"{spec.name}-strongest")
        _write(path, spec, fitted, scope, step)
    return Member(StepPredictor(step), fitted.history, fitted.ridge, error, lasts, path)


def _write(folder: Path, spec: Spec, fitted: Fitted, scope: Scope, step: Step) -> None:

    folder.mkdir()
    task = spec.task_of(fitted.structure, fitted.history, fitted.ridge)
    about = description_of(task, (scope.dataset, scope.dataset), scope.digest)
    (folder / DESCRIPTION).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n")
    weights = {name: value.contiguous() for name, value in step.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
