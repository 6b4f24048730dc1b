"""The stage `references`: fit simple models on a dataset and publish the selected ones.

artifact = stage.run(task, home, dataset)
references = load_references(home, artifact.ref)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset import load_dataset
from kinemill.runtime.window_metrics import Predictor
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    digest,
    find,
    get_or_build,
    open_ref,
    read_document,
    to_json_value,
    write_document,
)
from kinemill.store.home import Home
from kinemill.task.document import Task
from kinemill.task.plugins import BASELINES, make
from kinemill.task.plugins import Baseline as BaselineSettings
from kinemill.train import load_model
from kinemill.verify.document import MemberFacts
from kinemill.verify.document import ReferencesFacts as Facts
from kinemill.verify.references.baselines import ConstantVelocity, Persistence
from kinemill.verify.references.family import Member, Reference, References
from kinemill.verify.references.fit import fit_references
from kinemill.verify.references.step_predictor import StepPredictor

VERSION = 7
STAGE = "references"
FILE = "references.json"


@dataclass(frozen=True)
class Baseline:
    """A reference without a model folder; persistence has only a history.

    Attributes:
        history: rows of history.
        rates, moved, angle: fields of `ConstantVelocity`.
        own: settings of a user-defined baseline.
    """

    history: int
    rates: list[list[float]] | None = None
    moved: list[float] | None = None
    angle: list[bool] | None = None
    own: dict[str, Any] | None = None


@dataclass(frozen=True)
class Document:
    """references.json: the facts, and the references without a folder.

    Keys of `baselines` are `FAMILY-strongest` and `FAMILY-stable`.
    """

    facts: Facts
    baselines: dict[str, Baseline]


def inputs(task: Task, dataset: ArtifactRef) -> Json:
    """Return the values on which the references depend."""
    baselines = task.part("verify")["verify"].get("baselines")
    return {
        "dataset": dataset.digest,
        **task.part("channels", "dt"),
        "horizon": task.verify.horizon,
        "stride": task.verify.stride,
        **({"baselines": baselines} if baselines else {}),
    }


def run(task: Task, home: Home, dataset: ArtifactRef) -> Artifact:
    """Fit and select the references of a dataset, and publish them.

    Raises:
        BadInput: No episode is long enough for one window.
    """

    def build(folder: Path) -> Json:
        references = fit_references(
            task, load_dataset(home, dataset), folder, digest=dataset.digest
        )
        write_document(folder / FILE, Document(references.facts(), _baselines(references)))
        return to_json_value(references.facts())

    return get_or_build(home, STAGE, task.name, _key(task, dataset), build)


def _key(task: Task, dataset: ArtifactRef) -> Json:
    return inputs(task, dataset) | {"version": VERSION}


def find_references(task: Task, home: Home, dataset: ArtifactRef) -> References | None:
    """Return the published references of a dataset, or None; do not build them."""
    artifact = find(home, STAGE, task.name, digest(_key(task, dataset)))
    return load_references(home, artifact.ref) if artifact is not None else None


def load_references(home: Home, ref: ArtifactRef) -> References:
    """Return the references that `run` published.

    Raises:
        CorruptArtifact: A file is missing or damaged.
    """
    folder = open_ref(home, ref)
    document = read_document(folder / FILE, Document)
    items: dict[str, Reference] = {}
    for name, family in document.facts.families.items():
        best = _member(folder, family.strongest, document.baselines.get(f"{name}-strongest"))
        stable = family.stable and _member(
            folder, family.stable, document.baselines.get(f"{name}-stable")
        )
        items[name] = Reference(best, stable)
    return References(items, document.facts.left_out, document.facts.chosen_on, ref.digest)


def _member(folder: Path, facts: MemberFacts, baseline: Baseline | None) -> Member:
    path = folder / facts.model if facts.model is not None else None
    predictor: Predictor
    if path is not None:
        predictor = StepPredictor(load_model(path))
    elif baseline is not None and baseline.own is not None:
        predictor = make(BASELINES, BaselineSettings, baseline.own)
    elif baseline is None or baseline.rates is None:
        predictor = Persistence(facts.history)
    else:
        rates, moved = (
            np.array(part, dtype=np.float64) for part in (baseline.rates, baseline.moved)
        )
        predictor = ConstantVelocity(rates, moved, np.array(baseline.angle), facts.history)
    return Member(predictor, facts.history, facts.ridge, facts.validation_nrmse, facts.stable, path)


def _baselines(references: References) -> dict[str, Baseline]:
    """Return the references that have no model folder."""
    baselines: dict[str, Baseline] = {}
    for name, item in references.items.items():
        for kind, member in (("strongest", item.best), ("stable", item.stable_member)):
            if member is not None and member.folder is None:
                if isinstance(member.predictor, BaselineSettings):
                    settings = member.predictor.model_dump(mode="json")
                    baselines[f"{name}-{kind}"] = Baseline(member.history, own=settings)
                    continue
                values = vars(member.predictor)
                lists = {key: np.asarray(value).tolist() for key, value in values.items()}
                baselines[f"{name}-{kind}"] = Baseline(**lists)
    return baselines
