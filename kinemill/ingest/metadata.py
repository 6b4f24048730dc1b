"""Metadata of a recording, such as session, robot and operator.

From attributes inside the file, from the log's name at first sight by the named groups of a
pattern, and from a side-car file beside the log: the later of these has the last word. Attributes
(under `@name`) and side-car are kept with the membership when the log is first seen; the pattern is
applied whenever somebody asks, so changing it costs nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import yaml

from kinemill.errors import BadInput
from kinemill.ingest.file_stat import is_file
from kinemill.ingest.files import readers, recognize
from kinemill.ingest.membership import Member
from kinemill.store.json_io import valid_text
from kinemill.task import Task
from kinemill.task.yaml import read_yaml

LARGEST = 64 * 1024  # bytes of a side-car
OWN = "@"  # before the names of what a log says of itself
ATTRIBUTES = "attributes_problem"  # what was wrong with these, in place of them
PROBLEM = "sidecar_problem"  # what was wrong with the side-car, in place of what it says


def metadata(task: Task, name: str, stored: Mapping[str, str]) -> dict[str, str]:
    """Return what is known of a recording.

    Args:
        task: whose `ingest.meta` holds the pattern.
        name: name at first sight.
        stored: what its attributes and its side-car said.
    """
    pattern = task.ingest.meta.name
    match = re.search(pattern, name) if pattern else None
    groups = match.groupdict() if match else {}
    own = {key[1:]: value for key, value in stored.items() if key.startswith(OWN)}
    from_sidecar = {key: value for key, value in stored.items() if not key.startswith(OWN)}
    return own | {key: value for key, value in groups.items() if value is not None} | from_sidecar


def read_attributes(task: Task, log: Path) -> dict[str, str]:
    """Return what a log says of itself, each name with an `@` in front.

    Attributes that cannot be read cost no recording: what is wrong stands in their place.
    """
    try:
        attributes = readers(task)[recognize(task, log)].attributes(log)
    except Exception as error:  # noqa: BLE001  (each format's library has its own)
        first = (str(error).splitlines() or [""])[0]
        attributes = {ATTRIBUTES: f"{type(error).__name__}: {first}"[:200]}
    return _valid({f"{OWN}{key}": value for key, value in attributes.items()})


def read_sidecar(task: Task, log: Path) -> dict[str, str]:
    """Return what the side-car beside `log` says, nothing where there is none.

    One level of nesting becomes `calibration.gain`; values are kept as text. A side-car that
    cannot be used costs no recording: what is wrong with it stands in its place.
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
    """Return metadata in valid Unicode: YAML and HDF5 can spell what no file can hold."""
    return {valid_text(key): valid_text(value) for key, value in values.items()}


def describe(task: Task, member: Member, log: Path | None) -> Member:
    """Return `member` with what the log and its side-car say, the same object if that adds nothing.

    What was said once stays; a side-car that was missing or broken may come later, as long as the
    log lies where it is.
    """
    if log is None:
        return member
    own = {key: value for key, value in member.meta.items() if key.startswith(OWN)}
    from_sidecar = {key: value for key, value in member.meta.items() if key not in own}
    if not from_sidecar or PROBLEM in from_sidecar:
        from_sidecar = read_sidecar(task, log)
    merged = (own or read_attributes(task, log)) | from_sidecar
    return replace(member, meta=merged) if merged != member.meta else member


def _read(path: Path) -> dict[str, str]:
    if (size := path.stat().st_size) > LARGEST:
        raise BadInput(path, f"{size} bytes", expected=f"at most {LARGEST}")
    try:
        text = path.read_text()
        tokens = list(yaml.scan(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(path, f"cannot be read ({error})") from error
    if any(isinstance(token, yaml.AliasToken) for token in tokens):
        raise BadInput(path, "uses aliases", expected="plain values")
    value = read_yaml(path).value
    if not isinstance(value, dict):
        raise BadInput(path, "holds no keys with values", expected="such as `session: a`")
    return _flat(path, cast("dict[str, Any]", value))


def _flat(path: Path, value: dict[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, item in value.items():
        inner = cast("dict[str, Any]", item) if isinstance(item, dict) else {"": item}
        for below, one in inner.items():
            name = f"{key}.{below}" if below else key
            if isinstance(one, dict | list):
                raise BadInput(path, f"{name} is nested too deeply", expected="text or a number")
            flat[name] = "" if one is None else str(one)
    return flat
