"""Published references: their document, and the predictors in it.

references = load_references(home, artifact.ref)
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinemill.runtime.window_metrics import Predictor
from kinemill.selection.reference_facts import MemberFacts
from kinemill.selection.reference_facts import ReferencesFacts as Facts
from kinemill.selection.references.baselines import ConstantVelocity, Persistence
from kinemill.selection.references.family import Reference, References
from kinemill.selection.references.step_predictor import StepPredictor
from kinemill.store import (
    ArtifactRef,
    Json,
    open_ref,
    read_document,
    to_json_value,
    write_document,
)
from kinemill.store.home import Home
from kinemill.train import load_model

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


def write_references(folder: Path, references: References) -> Json:
    """Write references to a new folder; return their facts."""
    baselines = {
        name: _fields(member) for name, member in references.items.items() if member.folder is None
    }
    write_document(folder / FILE, Document(references.facts(), baselines))
    return to_json_value(references.facts())


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
    return Reference(predictor, facts, path)


def _fields(member: Reference) -> Json:
    """Return the fields of a reference without a model folder, as JSON."""
    return {key: np.asarray(value).tolist() for key, value in vars(member.predictor).items()}
