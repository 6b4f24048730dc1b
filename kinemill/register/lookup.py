"""Documents of versions, and the folder of a version's files."""

from dataclasses import dataclass
from pathlib import Path

from kinemill.register import tags
from kinemill.register.audit_log import read_events
from kinemill.register.gate.headline import headline_of
from kinemill.register.robot_trials import RobotTrials, trials_of
from kinemill.register.versions import (
    VersionLine,
    bundle_folder,
    find_version,
    parse_address,
    versions_of,
)
from kinemill.runtime.integrity import read_sums
from kinemill.runtime.loader import STORES
from kinemill.store.home import Home
from kinemill.store.remote_sync import bring


@dataclass(frozen=True)
class VersionList:
    """Versions of a task, newest first."""

    task: str
    versions: list[VersionLine]


@dataclass(frozen=True, kw_only=True)
class VersionDocument(VersionLine):
    """One version in full.

    Attributes:
        decision: decision of the gate; None while undecided.
        headline: one sentence about the model.
        trials: counted trials on a robot; None without any.
        run_id: MLflow run of its training.
        address: `models:/TASK/NUMBER`.
        description: text for MLflow's pages, markdown.
        lineage: digests of its inputs, commit, and origin of a warm start.
        folder: folder of its files.
        files: sha256 by file name.
        report: path of the report with the decision; None while undecided.
        tags: recorded tags.
    """

    task: str
    decision: str | None
    headline: str
    trials: RobotTrials | None
    run_id: str | None
    address: str
    description: str | None
    lineage: dict[str, str | None]
    folder: str
    files: dict[str, str]
    report: str | None
    tags: dict[str, str]


def list_versions(task: str, home: Home) -> VersionList:
    """Return every version of a task, newest first."""
    return VersionList(task, [VersionLine.of(item) for item in versions_of(home, task)])


def show(task: str, home: Home, which: str = "") -> VersionDocument:
    """Return the document of one version, named by `@alias`, `:number` or "".

    Raises:
        BadInput: The version does not exist.
        CorruptArtifact: The recorded path is outside of the home.
    """
    item = find_version(home, task, which)
    folder = home.in_store(item.tags.get(tags.BUNDLE, ""), item.name)
    bring(home, folder)
    report = item.tags.get(tags.REPORT)
    lineage = ("DATASET", "MODEL", "STARTED_FROM", "ONNX", "VERIFICATION", "TASK", "COMMIT")
    return VersionDocument(
        **vars(VersionLine.of(item)),
        task=task,
        decision=item.decision,
        headline=headline_of(item).text,
        trials=trials_of(item.number, read_events(home, task)),
        run_id=item.run_id,
        address=item.name,
        description=item.description,
        lineage={name.lower(): item.tags.get(getattr(tags, name)) for name in lineage},
        folder=str(folder),
        files=read_sums(folder) if (folder / "sha256sums").is_file() else {},
        report=str(home.inside(report, item.name)) if report else None,
        tags=dict(item.tags),
    )


@STORES.register("models")
def fetch_bundle(address: str, home: Home | Path | str | None = None) -> Path:
    """Return a local folder with a version's bundle, hash-checked.

    Args:
        address: `models:/TASK@champion` or `models:/TASK/3`.
        home: home with the registry; default: `KINEMILL_HOME`.

    Raises:
        BadInput: The address is invalid, or the version does not exist.
        CorruptArtifact: The version's files are missing or changed, in the store and in MLflow.
    """
    task, which = parse_address(address, address)
    where = home if isinstance(home, Home) else Home.resolve(home)
    return bundle_folder(where, find_version(where, task, which))
