"""The published episodes of a task: an artifact that names a set of results in the catalog.

The artifact holds the digest of the set, the totals and the report, so it costs the same for any
number of recordings. `store/index/<task>/episodes.json` names the last one. It is a cache: without
it, the next validation looks at every recording.
"""

from dataclasses import dataclass
from pathlib import Path

from kinemill.catalog import change_of
from kinemill.catalog.evaluations import EvaluationSet, read_head
from kinemill.catalog.tables import evaluated
from kinemill.errors import CorruptArtifact
from kinemill.ingest.index import load_index
from kinemill.ingest.recordings import reading_rules
from kinemill.store import (
    SUMMARY,
    Artifact,
    ArtifactRef,
    Json,
    as_json,
    aside_of,
    digest,
    index_path,
    open_ref,
    read_document,
    read_json,
    to_json_value,
)
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.episodes import rules
from kinemill.validate.expectations import suite_digest

STAGE = "episodes"
VERSION = 13
EPISODES = "episodes.json"
FORMAT = 3


@dataclass(frozen=True)
class EpisodesDocument:
    """What published episodes refer to.

    Attributes:
        recordings: digest of the snapshot of recordings.
        set: digest of the set of results in the catalog.
    """

    recordings: str
    set: str


@dataclass(frozen=True)
class Pointer:
    """Reference to the last published episodes, with the digest of the rules that made them."""

    format: int
    rules: str
    snapshot: ArtifactRef


def stage_pointer(home: Home, task: str, rules_digest: str, ref: ArtifactRef) -> Move:
    """Write the pointer to the published episodes aside; return the move that publishes it."""
    path = index_path(home, task, EPISODES)
    aside = aside_of(path)
    aside.write_bytes(as_json(to_json_value(Pointer(FORMAT, rules_digest, ref))))
    return Move(aside, path)


def latest_episodes(home: Home, task: str) -> ArtifactRef | None:
    """Return the last published episodes of a task, by any rules."""
    path = index_path(home, task, EPISODES)
    return read_document(path, Pointer).snapshot if path.is_file() else None


def is_indexed(home: Home, task: str) -> bool:
    """Return whether no artifact of a task turned out to be damaged since its last validation."""
    return index_path(home, task, EPISODES).is_file()


def inputs(task: Task, recordings: ArtifactRef, suite: str = "") -> Json:
    """Return the inputs of the artifact key of the published episodes.

    `suite` is the digest of the expectations that users added to the suite file.
    """
    return {"recordings": recordings.digest, **_rules_of(task, suite)}


def made_by(task: Task, suite: str = "") -> str:
    """Return a digest of what determines published episodes and checks: task, added suite."""
    return digest(_rules_of(task, suite))


def _rules_of(task: Task, suite: str) -> Json:
    share = task.validation.max_quarantined_share
    all_rules = {"rules": rules(task), "max_quarantined_share": share, "version": VERSION}
    return {**all_rules, "expectations": _expectations(task, suite)}


def _expectations(task: Task, suite: str) -> Json:
    """Return what users added to the generated suite; it does not change cached evaluations."""
    listed = to_json_value(
        [expectation.model_dump() for expectation in task.validation.expectations]
    )
    return {"task": listed, "suite": suite}


def rules_digest(task: Task, suite: str) -> str:
    """Return a digest of the rules that the rows in the catalog depend on."""
    return digest([rules(task), _expectations(task, suite), VERSION])


def find_previous(task: Task, home: Home) -> Artifact | None:
    """Return the last published episodes; None if they are lost, or other rules made them."""
    try:
        pointer = read_document(index_path(home, task.name, EPISODES), Pointer)
        by = made_by(task, suite_digest(home, task.name))
        if pointer.format != FORMAT or pointer.rules != by:
            return None
        open_results(home, pointer.snapshot)
        summary = read_json(home.root / pointer.snapshot.path / SUMMARY)
        return Artifact(pointer.snapshot, summary, cached=True)
    except (FileNotFoundError, CorruptArtifact):
        return None  # it is only a cache


def read_episodes(home: Home, ref: ArtifactRef) -> EpisodesDocument:
    """Return what published episodes refer to.

    Raises:
        CorruptArtifact: They are damaged.
    """
    return read_document(open_ref(home, ref) / EPISODES, EpisodesDocument)


def open_results(home: Home, ref: ArtifactRef) -> EvaluationSet:
    """Return the results that published episodes name.

    Raises:
        CorruptArtifact: They are damaged, or the catalog does not hold the set.
    """
    task = Path(ref.path).parts[-2]
    change = change_of(home, task, read_episodes(home, ref).set, evaluated)
    if change is None:
        raise CorruptArtifact(
            home.root / ref.path,
            "names a set of results that the catalog does not hold any more",
            fix=f"validate again: kinemill run {task}",
        )
    return EvaluationSet(home, task, change)


def results_set(task: Task, home: Home) -> str | None:
    """Return the set of the last results by the present rules; None without one."""
    if previous := find_previous(task, home):
        return read_episodes(home, previous.ref).set
    head = read_head(home, task.name)
    is_named = head is not None and change_of(home, task.name, head.set, evaluated) is not None
    by = rules_digest(task, suite_digest(home, task.name))
    return head.set if head and is_named and head.rules == by else None


def is_current(task: Task, home: Home) -> bool:
    """Return whether the last validation is of the present recordings, by the present rules."""
    head = load_index(home, task.name)
    last = read_head(home, task.name)
    if head is None or last is None or find_previous(task, home) is None:
        return False
    by = rules_digest(task, suite_digest(home, task.name))
    same_rules = head.by.rules == digest(reading_rules(task)) and last.rules == by
    return same_rules and last.document.get("recordings") == head.set
