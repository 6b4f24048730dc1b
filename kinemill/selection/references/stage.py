"""The stage `references`: fit simple models on a dataset and publish the selected ones.

artifact = stage.run(task, home, dataset)
references = load_references(home, artifact.ref)

A cached artifact is found without torch, which takes seconds to import.
"""

from pathlib import Path

from kinemill.selection.reference_facts import ReferencesFacts
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    digest,
    find,
    from_json_value,
    get_or_build,
)
from kinemill.store.home import Home
from kinemill.task.document import Task

VERSION = 11
STAGE = "references"


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
        from kinemill.dataset import load_dataset
        from kinemill.selection.references.fit import fit_references
        from kinemill.selection.references.published import write_references

        loaded = load_dataset(home, dataset)
        return write_references(folder, fit_references(task, loaded, folder, digest=dataset.digest))

    return get_or_build(home, STAGE, task.name, key_of(task, dataset), build)


def find_published(task: Task, home: Home, dataset: ArtifactRef) -> ArtifactRef | None:
    """Return the published references of a dataset, or None; do not build them."""
    artifact = find(home, STAGE, task.name, digest(key_of(task, dataset)))
    return artifact.ref if artifact is not None else None


def facts_of(artifact: Artifact) -> ReferencesFacts:
    """Return the facts about the references that `run` published."""
    return from_json_value(artifact.summary, ReferencesFacts, Path(STAGE))


def key_of(task: Task, dataset: ArtifactRef) -> Json:
    """Return the key of the published references of a dataset."""
    return inputs(task, dataset) | {"version": VERSION}
