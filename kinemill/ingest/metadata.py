"""Metadata of a recording, such as session, robot and operator.

Sources, the later ones override: attributes inside of the file, named groups of a pattern on the
log's name at first ingest, and a side-car file next to the log. Attributes (`@name`) and side-car
are stored with the membership at first ingest. The pattern is applied on each read, so changing it
needs no new ingest.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from kinemill.errors import BadInput
from kinemill.ingest.file_stat import is_file
from kinemill.ingest.files import readers, recognize
from kinemill.ingest.membership import Member
from kinemill.store.json_io import valid_text
from kinemill.task import Task
from kinemill.task.yaml import read_yaml

LARGEST = 64 * 1024  # bytes of a side-car
ATTRIBUTE_PREFIX = "@"  # prefix of attributes of the log itself
ATTRIBUTES = "attributes_problem"  # key of the error, in place of attributes
PROBLEM = "sidecar_problem"  # key of the error, in place of the side-car's content


def metadata(task: Task, name: str, stored: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of a recording."""
    attributes = attributes_in(stored)
    from_sidecar = {key: value for key, value in stored.items() if key[:1] != ATTRIBUTE_PREFIX}
    return attributes | name_groups(task, name) | from_sidecar


def attributes_in(stored: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of the log itself among stored metadata, without their `@`."""
    return {key[1:]: value for key, value in stored.items() if key.startswith(ATTRIBUTE_PREFIX)}


def name_groups(task: Task, name: str) -> dict[str, str]:
    """Return the metadata that `ingest.meta.name` finds in the name of a log."""
    pattern = task.ingest.meta.name
    match = re.search(pattern, name) if pattern else None
    groups = match.groupdict() if match else {}
    return {key: value for key, value in groups.items() if value is not None}


def read_attributes(task: Task, log: Path) -> dict[str, str]:
    """Return the attributes of a log, each name with an `@` in front.

    An error is stored in place of attributes that cannot be read; the recording is kept.
    """
    try:
        attributes = readers(task)[recognize(task, log)].attributes(log)
    except Exception as error:  # noqa: BLE001  (each format's library has its own)
        first = (str(error).splitlines() or [""])[0]
        attributes = {ATTRIBUTES: f"{type(error).__name__}: {first}"[:200]}
    return _valid({f"{ATTRIBUTE_PREFIX}{key}": value for key, value in attributes.items()})


def read_sidecar(task: Task, log: Path) -> dict[str, str]:
    """Return the content of the side-car of `log`, empty without one.

    One level of nesting becomes `calibration.gain`; values are text. An error is stored in place of
    a side-car that cannot be read; the recording is kept.
    """
    for ending in task.ingest.meta.sidecar:
        for path in (log.with_name(log.name + ending), log.with_name(log.stem + ending)):
            if is_file(path) and not path.is_symlink():
                return _read_safely(path)
    return {}


def _read_safely(path: Path) -> dict[str, str]:
    try:
        values = _read(path)
    except (BadInput, OSError, ValueError, RecursionError) as error:
        values = {PROBLEM: f"{path.name}: {str(error).removeprefix(str(path))}"}
    return _valid(values)


def _valid(values: Mapping[str, str]) -> dict[str, str]:
    """Return metadata in valid Unicode: YAML and HDF5 can hold text that no file can."""
    return {valid_text(key): valid_text(value) for key, value in values.items()}


def describe(task: Task, member: Member, log: Path | None) -> Member:
    """Return `member` with attributes and side-car of the log; the same object if nothing is new.

    Stored values are kept; a side-car that was missing or broken may be added later, as long as the
    log is at its place.
    """
    if log is None:
        return member
    attributes = {
        key: value for key, value in member.meta.items() if key.startswith(ATTRIBUTE_PREFIX)
    }
    from_sidecar = {key: value for key, value in member.meta.items() if key not in attributes}
    if not from_sidecar or PROBLEM in from_sidecar:
        from_sidecar = read_sidecar(task, log)
    merged = (attributes or read_attributes(task, log)) | from_sidecar
    return replace(member, meta=merged) if merged != member.meta else member


def _read(path: Path) -> dict[str, str]:
    if (size := path.stat().st_size) > LARGEST:
        raise BadInput(path, f"{size} bytes", expected=f"at most {LARGEST}")
    value = read_yaml(path).value
    if not isinstance(value, dict):
        raise BadInput(path, "holds no keys with values", expected="such as `session: a`")
    return _flat(path, cast("dict[str, Any]", value))


def _flat(path: Path, value: Mapping[str, object]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, item in value.items():
        inner = cast("dict[str, Any]", item) if isinstance(item, dict) else {"": item}
        for below, child in inner.items():
            name = f"{key}.{below}" if below else key
            if isinstance(child, dict | list):
                raise BadInput(path, f"{name} is nested too deeply", expected="text or a number")
            flat[name] = "" if child is None else str(child)
    return flat
