"""What a published folder holds: its files with their sha256, and what it was made from."""

import json
from collections.abc import Collection
from pathlib import Path

from kinemill.digests import file_digest, own_digest
from kinemill.documents import Json, read_json
from kinemill.errors import CorruptArtifact
from kinemill.formats import Format

FORMAT = 2
_MANIFEST = Format("manifest", FORMAT)  # the one before was indented, nothing else
MANIFEST = "MANIFEST.json"


def check_folder(folder: Path, digest: str, names: Collection[str] | None) -> None:
    """Check the manifest of a folder, and of the files that it lists all, or those named.

    Raises:
        CorruptArtifact: one is missing, or its bytes have changed.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise CorruptArtifact(folder, "is not there or not whole", fix="run the chain again")
    if file_digest(manifest) != digest:
        raise CorruptArtifact(manifest, "was changed since", fix="run the chain again")
    _check_files(folder, names)


def _check_files(folder: Path, names: Collection[str] | None) -> None:
    files = _MANIFEST.open(folder / MANIFEST, read_json(folder / MANIFEST))["files"]
    for name in files if names is None else names:
        entry = files[name]
        path = folder / name
        if not path.is_file() or own_digest(path) != entry["sha256"]:
            raise CorruptArtifact(
                path,
                "is missing or its bytes have changed",
                expected=f"sha256 {entry['sha256'][:12]}…",
                fix="run the chain again",
            )


def manifest_of(folder: Path, made_from: Json, names: list[str], form: int = FORMAT) -> str:
    """Spell the manifest of a folder as its files are now; form 1 was indented."""
    files = {
        name: {"sha256": own_digest(folder / name), "bytes": (folder / name).stat().st_size}
        for name in names
    }
    content = {"format": form, **made_from, "files": files}
    return json.dumps(content, indent=1 if form == 1 else None)
