"""Manifest of an artifact: its files with their sha256, and its inputs."""

import hashlib
import json
from pathlib import Path

from kinemill.errors import CorruptArtifact
from kinemill.store.digests import own_digest
from kinemill.store.formats import Format
from kinemill.store.json_io import Json, parse_json

_MANIFEST = Format("manifest", 2)
MANIFEST = "MANIFEST.json"


def check_folder(folder: Path, digest: str) -> None:
    """Check the manifest of a folder, and all files that it lists.

    Raises:
        CorruptArtifact: A file is missing, or its bytes have changed.
    """
    files = _files_of(folder, digest)
    for name, entry in files.items():
        path = folder / name
        if not path.is_file() or own_digest(path) != entry["sha256"]:
            raise _changed_error(path, entry)


def read_checked(folder: Path, digest: str, name: str) -> bytes:
    """Return the verified bytes of one file of a folder; the file is read once.

    Raises:
        CorruptArtifact: The manifest or the file is missing, or bytes have changed.
    """
    entry = _files_of(folder, digest)[name]
    path = folder / name
    content = _bytes_of(path)
    if content is None or hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise _changed_error(path, entry)
    return content


def _files_of(folder: Path, digest: str) -> Json:
    manifest = folder / MANIFEST
    content = _bytes_of(manifest)
    if content is None:
        raise CorruptArtifact(folder, "is missing or incomplete", fix="run the pipeline again")
    if hashlib.sha256(content).hexdigest() != digest:
        raise CorruptArtifact(
            manifest, "was changed after publication", fix="run the pipeline again"
        )
    return _MANIFEST.open(manifest, parse_json(manifest, content))["files"]


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _changed_error(path: Path, entry: Json) -> CorruptArtifact:
    return CorruptArtifact(
        path,
        "is missing or its bytes have changed",
        expected=f"sha256 {entry['sha256'][:12]}…",
        fix="run the pipeline again",
    )


def manifest_of(folder: Path, identity: Json, names: list[str]) -> str:
    """Return the manifest of a folder with its current files."""
    files = {
        name: {"sha256": own_digest(folder / name), "bytes": (folder / name).stat().st_size}
        for name in names
    }
    return json.dumps(_MANIFEST.stamp({**identity, "files": files}))
