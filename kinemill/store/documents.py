"""Typed documents: frozen dataclasses in the code, JSON on disk.

A stage defines one dataclass for each JSON file that it writes. Only the functions below turn it
into a dictionary and back, so that a renamed field is a type error and not a `KeyError`.
"""

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from kinemill.errors import CorruptArtifact
from kinemill.store.json_io import parse_json, publish_json, write_json

T = TypeVar("T")


@cache
def _adapter(kind: type[object]) -> Any:
    # Imported here: a robot imports this package and has no pydantic.
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def to_json_value(document: object) -> Any:
    """Return `document`, a dataclass, as plain JSON values; fields with an alias go by it."""
    return _adapter(type(document)).dump_python(document, mode="json", by_alias=True)


def from_json_value(value: object, kind: type[T], path: Path) -> T:
    """Return plain JSON values as an instance of `kind`, and check every field.

    `kind` is a dataclass, or a generic such as `list[Item]`; `path` is for the error.

    Raises:
        CorruptArtifact: A field is missing or has another type.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        message = f"{field}: {first['msg']}, found {str(first['input'])[:80]}"
        fix = "restore it from a backup: kinemill admin restore FOLDER"
        raise CorruptArtifact(path, message, fix=fix) from error


def parse_document(content: bytes, kind: type[T], path: Path) -> T:
    """Return the bytes of a JSON document as an instance of `kind`.

    `kind` is a dataclass, or a generic such as `list[Item]`; `path` is for the error.

    Raises:
        CorruptArtifact: It is not valid JSON, or a field is missing or has another type.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_json(content)
    except ValidationError:  # also of lone surrogates, which `parse_json` accepts
        return from_json_value(parse_json(path, content), kind, path)


def read_document(path: Path, kind: type[T]) -> T:
    """Read one JSON file as an instance of `kind`.

    Raises:
        CorruptArtifact: The file is not valid JSON, or a field is missing or has another type.
    """
    return parse_document(path.read_bytes(), kind, path)


def write_document(path: Path, document: object) -> None:
    """Write `document` as one line of JSON into a folder in staging."""
    write_json(path, to_json_value(document))


def publish_document(path: Path, document: object) -> None:
    """Publish `document` as indented JSON, atomically."""
    publish_json(path, to_json_value(document))
