"""Membership: the recordings of a task, their names at first ingest, and their raw bytes."""

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from kinemill.errors import BadLog, CorruptArtifact
from kinemill.ingest.file_stat import FileStat
from kinemill.store import as_json, drop_indexes, file_digest, read_json
from kinemill.store.atomic_write import Move
from kinemill.store.digests import copy
from kinemill.store.fault_injection import fault_point
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.remote_sync import bring_file, bring_new, withdraw
from kinemill.store.staging import staging_path

FORMAT = Format("membership", 1)
CopyLog = Callable[[BufferedReader, Path], str]
_SUFFIX = r"\.[a-z0-9_+-]{1,16}"
_ENDING = re.compile(rf"(?<=[^/]){_SUFFIX}\Z")
# Errors of reading the file, not of writing the copy: a full home affects every log.
_UNREADABLE = {errno.EIO, errno.ESTALE, errno.ENXIO, errno.EISDIR}


@dataclass(frozen=True)
class Member:
    """A recording of a task: its content hash, and its name at first ingest."""

    hash: str
    name: str
    bytes: int
    suffix: str
    # Content of its side-car file; not part of its identity.
    meta: dict[str, str] = field(default_factory=dict[str, str], compare=False)


class Moved(BadLog):
    """A file changed, or became unreadable, while it was read."""


def name_new_members(hashed: list[tuple[FileStat, str]]) -> dict[str, tuple[Member, Path]]:
    """Return a member and its path for each content, named after the oldest file that has it."""
    named: dict[str, tuple[Member, Path]] = {}
    for file_stat, hash_ in sorted(hashed, key=lambda item: (item[0].mtime_ns, item[0].name)):
        named.setdefault(
            hash_, (new_member(hash_, file_stat.label, file_stat.size), file_stat.path)
        )
    return named


def new_member(hash_: str, name: str, size: int) -> Member:
    """Return the member for a file of this name.

    A valid suffix, which may tell the format, is kept: it is appended to the name of the kept copy,
    which has 64 characters.
    """
    ending = _ENDING.search(name.lower())
    return Member(hash_, name, size, ending[0] if ending else "")


def _folder(home: Home, task: str) -> Path:
    return home.store / "members" / task


def members(home: Home, task: str) -> dict[str, Member]:
    """Return the members of a task by content hash."""
    folder = _folder(home, task)
    entries = [_read(path) for path in sorted(folder.glob("*.json"))]
    return {member.hash: member for member in entries}


def find_member(home: Home, task: str, hash_: str) -> Member | None:
    """Return the member with this content hash; read no other one."""
    path = _folder(home, task) / f"{hash_}.json"
    return _read(path) if path.is_file() else None


def is_member(home: Home, task: str, hash_: str) -> bool:
    """Return whether a recording with this content hash is a member, without reading its entry."""
    return (_folder(home, task) / f"{hash_}.json").is_file()


def _read(path: Path) -> Member:
    """Read an entry, possibly one of another machine.

    Raises:
        CorruptArtifact: Its hash or suffix, which name the kept copy, are not those of a recording.
    """
    member = Member(**FORMAT.open(path, read_json(path)))
    if member.hash != path.stem or not re.fullmatch(f"({_SUFFIX})?", member.suffix):
        problem = f"is the entry of {member.hash + member.suffix!r:.100}"
        raise CorruptArtifact(path, problem, expected=f"{path.stem} and the suffix of a file")
    return member


def begin_with(home: Home, task: str, start: str) -> list[str]:
    """Return the content hashes of the members that begin with `start`, hexadecimal digits."""
    return sorted(path.stem for path in _folder(home, task).glob(f"{start}*.json"))


def stage_entry(home: Home, task: str, member: Member, *, anew: bool = False) -> list[Move]:
    """Write the membership entry to a temporary file; the name of the first entry is kept.

    `anew` overwrites the existing entry. It returns the move that publishes it; none if it is a
    member already.
    """
    entry = _folder(home, task) / f"{member.hash}.json"
    if entry.is_file() and not anew:
        return []
    aside = staging_path(home, "member")
    aside.write_bytes(as_json(FORMAT.stamp(vars(member))))
    return [Move(aside, entry)]


def sync_members(home: Home, task: str, on_new: Callable[[list[str]], None]) -> None:
    """Fetch the members that other machines entered; call `on_new` with their hashes before."""

    def hashes(names: list[str]) -> None:
        on_new([name.removesuffix(".json") for name in names])

    bring_new(home, _folder(home, task), hashes)


def forget_member(home: Home, task: str, member: Member) -> None:
    """End the membership of a recording; the next ingest checks all others."""
    drop_indexes(home, task)
    entry = _folder(home, task) / f"{member.hash}.json"
    withdraw(home, entry)
    entry.unlink(missing_ok=True)


def raw_path(home: Home, member: Member) -> Path:
    """Return the path of the raw bytes of a recording."""
    return home.store / "raw" / member.hash[:2] / f"{member.hash}{member.suffix}"


def keep_raw(
    home: Home, member: Member, source: Path | None, write: CopyLog = copy
) -> tuple[Path, list[Move]]:
    """Return where the bytes of a recording can be read; copy `source` if no intact copy is kept.

    It returns the kept copy, or a temporary one, with the move that keeps it. `source` is a file
    with the bytes of the recording, or with a part of them; `write` copies it, or all files of the
    recording, to a new file, and returns the sha256.

    Raises:
        CorruptArtifact: there is no intact copy and no file to copy.
        Moved: the file has changed, or may not be read.
    """
    raw = raw_path(home, member)
    if source is None:
        bring_file(home, raw, member.hash)
    if raw.is_file() and file_digest(raw) == member.hash:
        return raw, []
    if source is None:
        raise CorruptArtifact(
            raw,
            f"the stored copy of {member.name!r} is missing or damaged, and so is its recording",
            expected=f"sha256 {member.hash[:12]}…",
            fix=f"put {member.name!r} back into the drop folder and run again",
        )
    try:
        original = source.open("rb")
    except OSError as error:
        raise Moved(source, f"cannot be read any more ({error})") from error
    aside = staging_path(home, "raw", member.suffix)  # the suffix may tell its format
    try:
        with original:
            if write(original, aside) != member.hash:
                raise Moved(source, "changed while it was read")
        aside.chmod(0o444)
        fault_point("raw.copied")
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _UNREADABLE:
            raise Moved(source, f"cannot be read any more ({error.strerror})") from error
        raise
    return aside, [Move(aside, raw)]
