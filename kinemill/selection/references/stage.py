"""The stage `references`: fit simple models on a dataset and publish the selected ones.

artifact = stage.run(task, home, dataset)
references = load_references(home, artifact.ref)
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinemill.dataset import load_dataset
from kinemill.runtime.window_metrics import Predictor
from kinemill.selection.reference_facts import MemberFacts
from kinemill.selection.reference_facts import ReferencesFacts as Facts
from kinemill.selection.references.baselines import ConstantVelocity, Persistence
from kinemill.selection.references.family import Reference, References
from kinemill.selection.references.fit import fit_references
from kinemill.selection.references.step_predictor import StepPredictor
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
from kinemill.train import load_model

VERSION = 10
STAGE = "references"
FILE = "references.json"
_PLAIN: dict[str, Callable[..., Predictor]] = {
    "persistence": Persistence,
    "constant_velocity": ConstantVelocity,
}


@dataclass(frozen=True)
class Document:
    """references.json: the facts, and the fields of references without a folder, by name."""

    facts: Facts
    baselines: dict[str, Json]


def inputs(task: Task, dataset: ArtifactRef) -> Json:
    """Return the values on which the references depend."""
    return {
        "dataset": dataset.digest,
        **task.part("channels", "dt"),
        "horizon": task.verify.horizon,
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
        baselines = {
            name: _fields(member)
            for name, member in references.items.items()
            if member.folder is None
        }
        write_document(folder / FILE, Document(references.facts(), baselines))
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
    items = {
        name: _member(folder, name, facts, document.baselines.get(name, {}))
        for name, facts in document.facts.families.items()
    }
    return References(items, document.facts.left_out, document.facts.left_out_rows, ref.digest)


def _member(folder: Path, name: str, facts: MemberFacts, fields: Json) -> Reference:
    path = folder / facts.model if facts.model is not None else None
    predictor: Predictor
    if path is not None:
        predictor = StepPredictor(load_model(path))
    else:
        arrays = {key: np.array(part) for key, part in fields.items() if isinstance(part, list)}
        predictor = _PLAIN[name](**{**fields, **arrays})
    return Reference(
        predictor, facts.history, facts.ridge, facts.score, facts.error, facts.stable, path
    )


def _fields(member: Reference) -> Json:
    """Return the fields of a reference without a model folder, as JSON."""
    return {key: np.asarray(value).tolist() for key, value in vars(member.predictor).items()}
