"""Published references: their document, and the predictors in it.

references = load_references(home, artifact.ref)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from kinemill.task.plugins import BASELINES, make
from kinemill.task.plugins import Baseline as BaselineSettings
from kinemill.train import load_model

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
    """references.json: the facts, and the references without a folder, by name."""

    facts: Facts
    baselines: dict[str, Baseline]


def write_references(folder: Path, references: References) -> Json:
    """Write references to a new folder; return their facts."""
    write_document(folder / FILE, Document(references.facts(), _baselines(references)))
    return to_json_value(references.facts())


def load_references(home: Home, ref: ArtifactRef) -> References:
    """Return the references that `run` published.

    Raises:
        CorruptArtifact: A file is missing or damaged.
    """
    folder = open_ref(home, ref)
    document = read_document(folder / FILE, Document)
    items = {
        name: _member(folder, facts, document.baselines.get(name))
        for name, facts in document.facts.families.items()
    }
    return References(items, document.facts.left_out, document.facts.left_out_rows, ref.digest)


def _member(folder: Path, facts: MemberFacts, baseline: Baseline | None) -> Reference:
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
    return Reference(
        predictor, facts.history, facts.ridge, facts.score, facts.error, facts.stable, path
    )


def _baselines(references: References) -> dict[str, Baseline]:
    """Return the references that have no model folder, by name."""
    return {
        name: _baseline(member)
        for name, member in references.items.items()
        if member.folder is None
    }


def _baseline(member: Reference) -> Baseline:
    if isinstance(member.predictor, BaselineSettings):
        return Baseline(member.history, own=member.predictor.model_dump(mode="json"))
    values = vars(member.predictor)
    return Baseline(**{key: np.asarray(value).tolist() for key, value in values.items()})
