"""Provenance chain: from a registered version back to its recordings, each link with its digest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kinemill.register import tags
from kinemill.register.versions import Version
from kinemill.store import MANIFEST, Json, file_digest, read_json
from kinemill.store.home import Home

# From a stage to the one whose digest its manifest names, the newest first.
_BACK = {"dataset": "episodes", "episodes": "recordings"}


@dataclass(frozen=True)
class Link:
    """One outcome that a version stands on.

    Attributes:
        stage: that made it.
        digest: by which the next one knows it.
        folder: where it is; None if it is not in this home any more.
        summary: what the stage said of it.
    """

    stage: str
    digest: str
    folder: Path | None
    summary: Json


def custody(home: Home, version: Version) -> list[Link]:
    """Return the links of a version, from the recordings to the verification."""
    stood_on = {
        stage: version.tags[tag]
        for stage, tag in (
            ("verification", tags.VERIFICATION),
            ("model", tags.MODEL),
            ("dataset", tags.DATASET),
        )
        if tag in version.tags
    }
    found = [_link(home, version.task, stage, digest) for stage, digest in stood_on.items()]
    return [*found, *_before(home, version.task, found)][::-1]


def _before(home: Home, task: str, known: list[Link]) -> Iterator[Link]:
    link = next((one for one in known if one.stage == "dataset"), None)
    while link is not None and link.folder is not None and link.stage in _BACK:
        stage = _BACK[link.stage]
        digest = read_json(link.folder / MANIFEST).get("inputs", {}).get(stage)
        link = _link(home, task, stage, digest) if isinstance(digest, str) else None
        if link is not None:
            yield link


def _link(home: Home, task: str, stage: str, digest: str) -> Link:
    folder = _folder(home, task, stage, digest)
    summary = read_json(folder / "summary.json") if folder else {}
    return Link(stage, digest, folder, summary)


def _folder(home: Home, task: str, stage: str, digest: str) -> Path | None:
    """Return the folder of an outcome, by the digest of its manifest or of what it holds."""
    for manifest in (home.store / stage / task).glob(f"*/{MANIFEST}"):
        folder = manifest.parent
        if digest in (file_digest(manifest), read_json(folder / "summary.json").get("digest")):
            return folder
    return None
