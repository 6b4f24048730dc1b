"""Provenance chain: from a registered version back to its recordings, linked by digests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kinemill.register import tags
from kinemill.register.versions import Version
from kinemill.store import MANIFEST, Home, Json, file_digest, read_json

# Each stage with the stage whose digest its manifest contains, newest first.
_BACK = {"dataset": "episodes", "episodes": "recordings"}


@dataclass(frozen=True)
class Link:
    """One artifact in the provenance of a version.

    Attributes:
        stage: the stage that built it.
        digest: digest of the artifact in the inputs of the next stage.
        folder: folder of the artifact; None if it was deleted from this home.
        summary: summary of the stage.
    """

    stage: str
    digest: str
    folder: Path | None
    summary: Json


def provenance_of(home: Home, version: Version) -> list[Link]:
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
    links = [_link(home, version.task, stage, digest) for stage, digest in stood_on.items()]
    return [*links, *_earlier_links(home, version.task, links)][::-1]


def _earlier_links(home: Home, task: str, links: list[Link]) -> Iterator[Link]:
    link = next((item for item in links if item.stage == "dataset"), None)
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
    """Return the folder of an artifact, by the digest of its manifest or of its content."""
    for manifest in (home.store / stage / task).glob(f"*/{MANIFEST}"):
        folder = manifest.parent
        if digest in (file_digest(manifest), read_json(folder / "summary.json").get("digest")):
            return folder
    return None
