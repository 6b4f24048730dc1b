"""The stage: from a dataset to its published references, and back."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset import PackedDataset, load_dataset
from kinemill.errors import BadInput
from kinemill.formats import Format
from kinemill.home import Home
from kinemill.runtime.windows import Floats
from kinemill.spec.task import Task
from kinemill.store import Json, Outcome, Ref, once, open_ref, read_json
from kinemill.verify.accuracy import is_angle
from kinemill.verify.references.choosing import Ground, ground_of
from kinemill.verify.references.family import Member, Reference, References, smallest
from kinemill.verify.references.fitting import Fitted, fit_members, histories_of, make_step
from kinemill.verify.references.simple import (
    ConstantVelocity,
    Persistence,
    constant_velocities,
)
from kinemill.verify.references.specs import Spec, specs_of
from kinemill.verify.references.stepping import StepPredictor
from kinemill.verify.scale import training_spread

VERSION = 1
STAGE = "references"
FILE = "references.json"
FORMAT = Format("references", 1)
UNSTABLE = "none of its members stays finite on validation rows"


def build_references(task: Task, home: Home, dataset: Ref) -> Outcome:
    """Fit and choose the references of a dataset, and publish them.

    Args:
        task: its channels say which families there are, `verify` over which horizon they count.
        home: where the dataset is, and where they are kept.
        dataset: training rows are fitted, validation rows choose.

    Raises:
        BadInput: no episode is long enough for one window.
    """
    inputs = {
        "version": VERSION,
        "dataset": dataset.digest,
        **task.part("channels", "dt"),
        "horizon": task.verify.horizon,
        "stride": task.verify.stride,
    }

    def build(folder: Path) -> Json:
        references = fit_references(task, load_dataset(home, dataset), folder, dataset.digest)
        document = FORMAT.stamp(references.to_json() | {"simple": _simple_json(references)})
        (folder / FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        return references.to_json()

    return once(home, STAGE, task.name, inputs, build)


def load_references(home: Home, ref: Ref) -> References:
    """Return what `build_references` published.

    Raises:
        CorruptArtifact: a file is missing, or its bytes have changed.
    """
    folder = open_ref(home, ref)
    document = FORMAT.open(folder / FILE, read_json(folder / FILE))
    items = {
        name: Reference(name, best, lasting)
        for name, family in document["families"].items()
        for best, lasting in [_members(folder, name, family, document["simple"])]
    }
    return References(items, document["left_out"], document["chosen_on"], ref.digest)


def _members(
    folder: Path, name: str, family: Json, simple: dict[str, Json]
) -> tuple[Member, Member | None]:
    best, lasting = (
        _member(folder, name, kind, family[kind], simple) if family[kind] is not None else None
        for kind in ("strongest", "stable")
    )
    if best is None:
        raise ValueError(name)
    return best, lasting


def _member(folder: Path, name: str, kind: str, facts: Json, simple: dict[str, Json]) -> Member:
    from kinemill.train import load_model

    settings = {key: facts[key] for key in ("history", "ridge") if key in facts}
    own = folder / facts["model"] if facts["model"] is not None else None
    if own is None:
        predictor: Any = _simple_of(simple[f"{name}-{kind}"])
    else:
        predictor = StepPredictor(load_model(own))
    return Member(predictor, settings, facts["validation_nrmse"], facts["stable"], own)


def _simple_json(references: References) -> dict[str, Json]:
    """Return what the references without weights are made of."""
    found: dict[str, Json] = {}
    for name, item in references.items.items():
        for kind, member in (("strongest", item.best), ("stable", item.lasting)):
            if member is not None and member.folder is None:
                values = vars(member.predictor)
                found[f"{name}-{kind}"] = {
                    key: np.asarray(value).tolist() for key, value in values.items()
                }
    return found


def _simple_of(values: Json) -> Any:
    if "rates" not in values:
        return Persistence(**values)
    arrays = {key: np.asarray(values[key]) for key in ("rates", "moved", "angle")}
    return ConstantVelocity(**arrays, history=values["history"])


def fit_references(
    task: Task, dataset: PackedDataset, folder: Path | None = None, digest: str = ""
) -> References:
    """Fit and choose the references.

    Args:
        task: whose channels and horizon.
        dataset: rows in the order of its channels.
        folder: where members are written as trained models; None: nowhere.
        digest: of the dataset.
    """
    histories, verify = histories_of(dataset, task.verify.horizon), task.verify
    if not histories:
        raise BadInput(
            f"references of {task.name}",
            "no episode of the training split has 2 rows, or none of another split a window",
            expected="episodes of at least verify.horizon + 1 rows",
            fix="lower verify.horizon, or give longer logs",
        )
    spread = training_spread(dataset)
    ground = ground_of(dataset, histories[-1], verify.horizon, verify.stride, spread)
    items: dict[str, Reference] = {}
    specs, left_out = specs_of(task)
    simple: dict[str, list[Any]] = {
        "persistence": [Persistence()],
        "constant_velocity": constant_velocities(task, is_angle(dataset)),
    }
    for name, members in simple.items():
        _take(items, left_out, name, _simple_members(members, ground))
    for spec in specs:
        family = _Family(spec, dataset, ground, folder, digest)
        _take(items, left_out, spec.name, family.members(histories))
    return References(items, left_out, ground.split)


def _take(
    items: dict[str, Reference],
    left_out: dict[str, str],
    name: str,
    found: tuple[Member, Member | None] | None,
) -> None:
    if found is None:
        left_out[name] = UNSTABLE
    else:
        items[name] = Reference(name, *found)


def _simple_members(predictors: list[Any], ground: Ground) -> tuple[Member, Member | None] | None:
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


class _Family:
    """A family that is fitted, and how its members are chosen."""

    def __init__(
        self, spec: Spec, dataset: PackedDataset, ground: Ground, folder: Path | None, digest: str
    ) -> None:
        self.spec, self.dataset, self.ground = spec, dataset, ground
        self.folder, self.digest = folder, digest
        self.groups: dict[int, list[Fitted]] = {}

    def members(self, histories: list[int]) -> tuple[Member, Member | None] | None:
        """Return the strongest member, and the strongest that lasts, if any."""
        for fitted in fit_members(self.spec, self.dataset, histories):
            self.groups.setdefault(fitted.history, []).append(fitted)
        ranked = sorted(
            (
                (float(error), fitted)
                for group in self.groups.values()
                for error, fitted in zip(self._errors(group), group, strict=True)
                if np.isfinite(error)
            ),
            key=lambda pair: pair[0],
        )
        if not ranked:
            return None
        lasting: dict[int, Any] = {}
        stable = None
        for error, fitted in ranked:
            if fitted.history not in lasting:
                group = self.groups[fitted.history]
                lasting[fitted.history] = self.ground.lasts(self._stacked(group), len(group))
            if lasting[fitted.history][self.groups[fitted.history].index(fitted)]:
                stable = error, fitted
                break
        first = ranked[0]
        if stable is not None and stable[1] is first[1]:
            member = self._made(*first, "stable", lasts=True)
            return member, member
        strongest = self._made(*first, "strongest", lasts=False)
        return strongest, self._made(*stable, "stable", lasts=True) if stable else None

    def _errors(self, group: list[Fitted]) -> Floats:
        return self.ground.error(self._stacked(group), len(group))

    def _stacked(self, group: list[Fitted]) -> StepPredictor:
        from kinemill.verify.references.stacking import stacked

        step = make_step(self.spec, self.dataset, group[0].history)
        return StepPredictor(stacked(step, [fitted.solution for fitted in group]))

    def _made(self, error: float, fitted: Fitted, kind: str, *, lasts: bool) -> Member:
        from kinemill.verify.references.stacking import single

        step = make_step(self.spec, self.dataset, fitted.history, fitted.ridge)
        step = single(step, fitted.solution)
        own = None
        if self.folder is not None:
            own = self.folder / f"{self.spec.name}-{kind}"
            _write(own, self.spec, fitted, self.dataset, self.digest, step)
        settings = {"history": fitted.history, "ridge": fitted.ridge}
        return Member(StepPredictor(step), settings, error, lasts, own)


def _write(
    folder: Path, spec: Spec, fitted: Fitted, dataset: PackedDataset, digest: str, step: Any
) -> None:
    """Write a member as a trained model."""
    from safetensors.torch import save_file

    from kinemill.train.start import DESCRIPTION, WEIGHTS, description_of

    folder.mkdir()
    task = spec.task_of(fitted.history, fitted.ridge)
    about = description_of(task, (dataset, dataset), digest)
    (folder / DESCRIPTION).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n")
    weights = {name: value.contiguous() for name, value in step.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
