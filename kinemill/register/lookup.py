"""Documents about versions, and the folder of a version's files."""

from pathlib import Path

from kinemill.register import tags
from kinemill.register.consistency import is_registered, require_registry
from kinemill.register.gate.headline import headline_of
from kinemill.register.versions import (
    SHORT,
    Version,
    bundle_folder,
    find_version,
    parse_address,
    versions_of,
)
from kinemill.runtime.integrity import read_sums
from kinemill.store import Json, to_json_value
from kinemill.store.home import Home
from kinemill.store.remote_sync import bring


def list_versions(task: str, home: Home) -> Json:
    """Return the `models` document: every version of a task, newest first."""
    known_versions = versions_of(home, task) if is_registered(home, task) else []
    return {"task": task, "versions": [_line(item) for item in known_versions]}


def _line(item: Version) -> Json:
    return {
        "version": item.number,
        "aliases": list(item.aliases),
        "provisional": item.provisional,
        "created": item.created,
        "dataset": item.tags.get(tags.DATASET, "")[:SHORT],
        "metrics": to_json_value(item.metrics),
        "gate": [line.to_json() for line in item.gate],
    }


def show(task: str, home: Home, which: str = "") -> Json:
    """Return the document of one version, named by `@alias`, `:number` or "".

    Raises:
        BadInput: there is no such version.
        CorruptArtifact: the recorded path is outside of the home.
    """
    require_registry(home, task)
    item = find_version(home, task, which)
    folder = home.inside(item.tags.get(tags.BUNDLE, ""), item.name)
    bring(home, folder)
    report = item.tags.get(tags.REPORT)
    lineage = ("DATASET", "MODEL", "STARTED_FROM", "ONNX", "VERIFICATION", "TASK", "COMMIT")
    return {
        "task": task,
        **_line(item),
        "decision": item.decision,
        "headline": headline_of(item).text,
        "run_id": item.run_id,
        "address": item.name,
        "description": item.description,
        "lineage": {
            name.lower(): item.tags.get(getattr(tags, name)) for name in (*lineage, "PREVIOUS")
        },
        "folder": str(folder),
        "files": read_sums(folder) if (folder / "sha256sums").is_file() else {},
        "report": str(home.inside(report, item.name)) if report else None,
        "tags": item.tags,
    }


def fetch_bundle(address: str, home: Home | Path | str | None = None) -> Path:
    """Return a local folder with a version's bundle, hash-checked.

    Args:
        address: `models:/TASK@champion` or `models:/TASK/3`.
        home: where the registry lives; default `KINEMILL_HOME`.

    Raises:
        BadInput: invalid address, or no such version.
        CorruptArtifact: the version's files are missing or changed, in the store and in MLflow.
    """
    task, which = parse_address(address, address)
    where = home if isinstance(home, Home) else Home.resolve(home)
    require_registry(where, task)
    return bundle_folder(where, find_version(where, task, which))
