"""JSON documents: canonical form for digests, and atomic writes."""

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from kinemill.errors import CorruptArtifact
from kinemill.store.atomic_write import Move, settle
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.store.remote_sync import send
from kinemill.store.staging import process_mark

Json = dict[str, Any]
_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical(value: object) -> str:
    """Return the canonical JSON of `value`, used for digests (no NaN, keys sorted)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def valid_text(text: str) -> str:
    r"""Return `text` as valid Unicode: a byte that is not UTF-8 becomes `\xff`.

    Python reads such a byte of a file name as a lone surrogate, which SQLite, Parquet, HTML pages
    and terminals refuse to write.
    """
    return text if text.isascii() else _SURROGATE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def digest(value: object) -> str:
    """Return the sha256 of `value` as canonical JSON, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def aside_of(path: Path) -> Path:
    """Return a temporary path next to `path` for an atomic replacement."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.parent / f".aside-{process_mark()}"


def publish_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file, the new one, or none."""
    aside = aside_of(path)
    try:
        aside.write_bytes(content)
        fault_point("file.written")
        settle([Move(aside, path)])
    finally:
        aside.unlink(missing_ok=True)


def as_json(value: object) -> bytes:
    """Return `value` as indented JSON."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def publish_json(path: Path, value: object) -> None:
    """Publish `value` as indented JSON, atomically."""
    publish_file(path, as_json(value))


def publish_shared(home: Home, path: Path, value: object) -> None:
    """Publish `value` as `publish_json` does, also to the remote store."""
    aside = aside_of(path)
    try:
        aside.write_bytes(as_json(value))
        send(home, moves := [Move(aside, path)])
        settle(moves)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write `value` as one line of JSON into a folder in staging."""
    path.write_text(json.dumps(value, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON document.

    Raises:
        CorruptArtifact: The file is not valid JSON.
    """
    return parse_json(path, path.read_bytes())


def parse_json(path: Path, content: bytes) -> Any:
    """Parse the bytes of a file as JSON.

    Raises:
        CorruptArtifact: They are not valid JSON.
    """
    from pydantic_core import from_json

    with suppress(ValueError):  # only the standard library accepts lone surrogates in names
        return from_json(content)
    try:
        return json.loads(content)
    except ValueError as error:
        message = f"is not valid JSON ({error})"
        fix = "restore it from a backup: kinemill admin restore FOLDER"
        raise CorruptArtifact(path, message, fix=fix) from error
