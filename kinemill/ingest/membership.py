"""Which recordings a task has, what each was called at first sight, and its raw bytes."""

import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from kinemill.errors import BadLog, CorruptArtifact
from kinemill.faultpoints import fault_point
from kinemill.home import Home
from kinemill.ingest.files import Sight
from kinemill.store import drop_indexes, file_digest, publish_json, read_json


@dataclass(frozen=True)
class Member:
    """A recording of a task: its content hash, and what it was called at first sight."""

    hash: str
    name: str
    bytes: int
    suffix: str
    # What its side-car file says; not part of what a recording is.
    meta: dict[str, str] = field(default_factory=dict[str, str], compare=False)


class Moved(BadLog):
    """A file that changed, or could no longer be read, while it was read."""


def first_sights(hashed: list[tuple[Sight, str]]) -> dict[str, tuple[Member, Path]]:
    """Return a member and its path for each content, named after the first file that has it."""
    found: dict[str, tuple[Member, Path]] = {}
    for sight, hash_ in sorted(hashed, key=lambda item: item[0].name):
        suffix = sight.path.suffix.lower()
        found.setdefault(hash_, (Member(hash_, sight.name, sight.size, suffix), sight.path))
    return found


def _folder(home: Home, task: str) -> Path:
    return home.store / "members" / task


def members(home: Home, task: str) -> dict[str, Member]:
    """Return the members of a task by content hash."""
    folder = _folder(home, task)
    found = [Member(**read_json(path)) for path in sorted(folder.glob("*.json"))]
    return {member.hash: member for member in found}


def find_member(home: Home, task: str, hash_: str) -> Member | None:
    """Return the member of that content hash, without looking at any other."""
    path = _folder(home, task) / f"{hash_}.json"
    return Member(**read_json(path)) if path.is_file() else None


def begin_with(home: Home, task: str, start: str) -> list[str]:
    """Return the content hashes of the members that begin with `start`, hexadecimal digits."""
    return sorted(path.stem for path in _folder(home, task).glob(f"{start}*.json"))


def enter(home: Home, task: str, member: Member, *, anew: bool = False) -> None:
    """Make a recording a member of a task; the name under which it was entered first stays.

    Args:
        home: where memberships are kept.
        task: name of the task.
        member: the recording.
        anew: write what is known of it over what was known before.
    """
    entry = _folder(home, task) / f"{member.hash}.json"
    if anew or not entry.is_file():
        publish_json(entry, vars(member))
        fault_point("member.entered")


def forget_member(home: Home, task: str, member: Member) -> None:
    """End the membership of a recording; the next ingest looks at all others."""
    drop_indexes(home, task)
    (_folder(home, task) / f"{member.hash}.json").unlink(missing_ok=True)


def raw_path(home: Home, member: Member) -> Path:
    """Return where the bytes of a recording are kept."""
    return home.store / "raw" / member.hash[:2] / f"{member.hash}{member.suffix}"


def keep_raw(home: Home, member: Member, source: Path | None) -> Path:
    """Return the kept copy of a recording's bytes, making it from `source` where it is not whole.

    Raises:
        CorruptArtifact: there is no whole copy and no file to make one from.
    """
    raw = raw_path(home, member)
    if raw.is_file() and file_digest(raw) == member.hash:
        return raw
    if source is None:
        raise CorruptArtifact(
            raw,
            f"the kept copy of {member.name!r} is gone or damaged, and so is what was made of it",
            expected=f"sha256 {member.hash[:12]}…",
            fix=f"put {member.name!r} back into the drop folder and run again",
        )
    raw.parent.mkdir(parents=True, exist_ok=True)
    try:
        original = source.open("rb")
    except OSError as error:
        raise Moved(source, f"can no longer be read ({error})") from error
    handle, aside = tempfile.mkstemp(dir=raw.parent, prefix=".aside-")
    try:
        with original, os.fdopen(handle, "wb") as copy:
            if _copy(original, copy) != member.hash:
                raise Moved(source, "changed while it was read")
            fault_point("raw.copied")
            copy.flush()
            os.fsync(copy.fileno())
        fault_point("raw.synced")
        Path(aside).chmod(0o444)
        Path(aside).replace(raw)
        fault_point("raw.renamed")
    finally:
        Path(aside).unlink(missing_ok=True)
    return raw


def _copy(original: BinaryIO, copy: BinaryIO) -> str:
    """Copy a file and return the sha256 of the bytes, in hex, each read once."""
    found = hashlib.sha256()
    while block := original.read(1 << 20):
        found.update(block)
        copy.write(block)
    return found.hexdigest()
