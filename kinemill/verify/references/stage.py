"""The stage: from a dataset to its published references, and back."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset import load_dataset
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    digest,
    find,
    get_or_build,
    open_ref,
    read_json,
)
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.task.document import Task
from kinemill.verify.references.baselines import ConstantVelocity, Persistence
from kinemill.verify.references.family import Member, Reference, References
from kinemill.verify.references.fit import fit_references
from kinemill.verify.references.step_predictor import StepPredictor

VERSION = 2
STAGE = "references"
FILE = "references.json"
FORMAT = Format("references", 1)


def build_references(task: Task, home: Home, dataset: ArtifactRef) -> Artifact:
    """Fit and choose the references of a dataset, and publish them.

    Args:
        task: its channels say which families there are, `verify` over which horizon they count.
        home: where the dataset is, and where they are kept.
        dataset: training rows are fitted, validation rows choose.

    Raises:
        BadInput: no episode is long enough for one window.
    """

    def build(folder: Path) -> Json:
        references = fit_references(
            task, load_dataset(home, dataset), folder, digest=dataset.digest
        )
        document = FORMAT.stamp(references.to_json() | {"simple": _simple_json(references)})
        (folder / FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        return references.to_json()

    return get_or_build(home, STAGE, task.name, _inputs(task, dataset), build)


def find_references(task: Task, home: Home, dataset: ArtifactRef) -> References | None:
    """Return the references of a dataset if they are published, or None; nothing is built."""
    artifact = find(home, STAGE, task.name, digest(_inputs(task, dataset)))
    return load_references(home, artifact.ref) if artifact is not None else None


def _inputs(task: Task, dataset: ArtifactRef) -> Json:
    return {
        "version": VERSION,
        "dataset": dataset.digest,
        **task.part("channels", "dt"),
        "horizon": task.verify.horizon,
        "stride": task.verify.stride,
    }


def load_references(home: Home, ref: ArtifactRef) -> References:
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
    simple: dict[str, Json] = {}
    for name, item in references.items.items():
        for kind, member in (("strongest", item.best), ("stable", item.stable_member)):
            if member is not None and member.folder is None:
                values = vars(member.predictor)
                simple[f"{name}-{kind}"] = {
                    key: np.asarray(value).tolist() for key, value in values.items()
                }
    return simple


def _simple_of(values: Json) -> Any:
    if "rates" not in values:
        return Persistence(**values)
    arrays = {key: np.asarray(values[key]) for key in ("rates", "moved", "angle")}
    return ConstantVelocity(**arrays, history=values["history"])
