"""Integrity of a model folder: all files are unchanged and from one export.

`sha256sums` lists every other file. The metadata property `interface_sha256` of each ONNX file is
the digest of `io.yaml` and of its other properties: names, order, units and kinds of channels
cannot change in one of the two places only.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from kinemill.errors import CorruptArtifact
from kinemill.runtime.model_safety import fields_of, refuse_link, refuse_model

STEP = "step.onnx"
ROLLOUT = "rollout.onnx"
POLICY = "policy.onnx"
SUMS = "sha256sums"
IO = "io.yaml"
PULLED = ".kinemill-pulled"  # marks a folder that `pull` made and may remove
STORE_FILES = ("MANIFEST.json", "summary.json", PULLED)  # added by the store and by `pull`
INTERFACE = "interface_sha256"

_METADATA = 14
_KEY = 1
_VALUE = 2  # fields of ModelProto and StringStringEntryProto
_MOST_FILES = 1000
# A plain file name: `pull` and `export` create files of these names.
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([A-Za-z0-9_][A-Za-z0-9_.+-]{0,199})")
_AGAIN = "fetch or export the model again"


def read_sums(folder: Path) -> dict[str, str]:
    """Return the `sha256sums` of a folder: digest by file name.

    Names are plain file names of the folder, since files are read and written by them.

    Raises:
        BadInput: The file is a symbolic link.
        CorruptArtifact: The file is missing, empty or invalid.
    """
    path = folder / SUMS
    digests = dict[str, str]()
    refuse_link(path)
    if not path.is_file():
        problem = f"has no {SUMS}: its files cannot be checked"
        raise CorruptArtifact(folder, problem, expected="a folder as it was exported", fix=_AGAIN)
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in {SUMS, *digests} or number > _MOST_FILES:
            expected = f"at most {_MOST_FILES} lines of sha256 and a file name, each name once"
            raise CorruptArtifact(f"{path}:{number}", f"is {line!r:.80}", expected=expected)
        digests[match[2]] = match[1]
    if not digests:
        raise CorruptArtifact(path, "is empty", expected="lines of sha256 and name", fix=_AGAIN)
    return digests


def unlisted(folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Return files of a folder that `sha256sums` does not list, except those of the store."""
    return sorted({path.name for path in folder.iterdir()} - {SUMS, *STORE_FILES} - set(sums))


def check_names(folder: Path, sums: Mapping[str, str]) -> None:
    """Check that a folder holds all files of a model and no unlisted file.

    Raises:
        CorruptArtifact: A file is missing or not listed.
    """
    models = (POLICY,) if (folder / POLICY).is_file() else (STEP, ROLLOUT)
    missing = [name for name in (*models, IO) if not (folder / name).is_file()]
    if missing:
        problem = f"has no {', '.join(missing)}"
        raise CorruptArtifact(folder, problem, expected="a folder as it was exported", fix=_AGAIN)
    if extra := unlisted(folder, sums):
        raise CorruptArtifact(
            folder,
            f"holds {', '.join(extra)}, which {SUMS} does not list",
            expected="a folder as it was exported",
            fix="keep other files elsewhere, or export the model again",
        )


def read_file(path: Path, sums: Mapping[str, str] | None) -> bytes:
    """Return the bytes of a file, checked against `sums` if given.

    Raises:
        BadInput: The file is a link.
        CorruptArtifact: `sums` does not list the file, or lists another digest.
    """
    refuse_link(path)
    content = path.read_bytes()
    if sums is None:
        return content
    expected = sums.get(path.name)
    if expected is None:
        problem = f"is not listed in {SUMS}"
        raise CorruptArtifact(path, problem, expected="a line with its sha256", fix=_AGAIN)
    if hashlib.sha256(content).hexdigest() != expected:
        raise CorruptArtifact(
            path,
            "its bytes differ from what was published",
            expected=f"sha256 {expected[:12]}…",
            fix="fetch it again",
        )
    return content


def read_model(path: Path, sums: Mapping[str, str] | None) -> bytes:
    """Return the bytes of an ONNX file, checked for safety and against sums and `io.yaml`.

    Raises:
        BadInput: The file is a link, unsafe, or not an ONNX file.
        CorruptArtifact: The file was changed, or `io.yaml` is of another export.
    """
    content = read_file(path, sums)
    refuse_model(path, content)
    io = path.with_name(IO)
    if io.is_file() and (fault := interface_fault(content, read_file(io, sums))):
        raise CorruptArtifact(path, fault, expected="two files of one export", fix=_AGAIN)
    return content


def interface_fault(model: bytes, io: bytes) -> str:
    """Return how an ONNX file contradicts the io.yaml of its folder, or "" if it does not."""
    properties = metadata_of(model)
    stated = properties.pop(INTERFACE, None)
    if stated is None:
        return f"does not state which {IO} belongs to it"
    if stated != json.dumps(interface_digest(properties, io)):
        return f"its metadata and {IO} differ in names, order, units or kinds of channels"
    return ""


def interface_digest(properties: Mapping[str, str], io: bytes) -> str:
    """Return the digest of the metadata of an ONNX file and of io.yaml.

    Args:
        properties: metadata without `interface_sha256`.
        io: bytes of io.yaml.
    """
    metadata = json.dumps(sorted(properties.items()), separators=(",", ":")).encode()
    return hashlib.sha256(
        hashlib.sha256(metadata).digest() + hashlib.sha256(io).digest()
    ).hexdigest()


def metadata_of(model: bytes) -> dict[str, str]:
    """Return the metadata properties of an ONNX file that `refuse_model` accepted."""
    properties = dict[str, str]()
    for entry in fields_of(memoryview(model)):
        if entry.number == _METADATA:
            parts = {part.number: bytes(part.content) for part in fields_of(entry.content)}
            key = parts.get(_KEY, b"")
            value = parts.get(_VALUE, b"")
            properties[key.decode(errors="replace")] = value.decode(errors="replace")
    return properties
