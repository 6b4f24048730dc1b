"""Overrides of a task file: `learn.model.type=gru`, spelled as in the file."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput
from kinemill.registry import Registry
from kinemill.spec.compute import TARGETS
from kinemill.spec.control import CONTROLLERS
from kinemill.spec.environment import KINDS, WRAPPERS
from kinemill.spec.imitation import HEADS, IMAGES, TEXTS
from kinemill.spec.plugins import (
    AUGMENTATIONS,
    ENCODINGS,
    MODELS,
    OBJECTIVES,
    OPTIMIZERS,
    SCHEDULES,
)
from kinemill.spec.reinforcement import ALGORITHMS, RUNNERS
from kinemill.spec.track import TRACKERS
from kinemill.spec.yaml import Document, Location, read_yaml, scalar

# Where a task file chooses a plug-in by `type`; places in lists left out, * is any name.
_FAMILIES: dict[tuple[str, ...], Registry[Any]] = {
    ("learn",): OBJECTIVES,
    ("learn", "model"): MODELS,
    ("learn", "model", "residual"): MODELS,
    ("learn", "encoding", "channels", "*"): ENCODINGS,
    ("learn", "optimizer"): OPTIMIZERS,
    ("learn", "schedule"): SCHEDULES,
    ("augment",): AUGMENTATIONS,
    ("compute",): TARGETS,
    ("track",): TRACKERS,
    ("control", "controller"): CONTROLLERS,
    ("learn", "algorithm"): ALGORITHMS,
    ("learn", "runner"): RUNNERS,
    ("learn", "head"): HEADS,
    ("learn", "image"): IMAGES,
    ("learn", "text"): TEXTS,
    ("environment",): KINDS,
    ("environment", "wrappers"): WRAPPERS,
}


def family_at(where: Iterable[str | int]) -> Registry[Any] | None:
    """Return the plug-ins that a `type` at `where` chooses from; None where it chooses none."""
    place = tuple(part for part in map(str, where) if not part.isdigit())
    if place[:2] == ("learn", "physics"):  # a way of learning within another
        place = ("learn", *place[2:])
    return _FAMILIES.get(place, _FAMILIES.get((*place[:-1], "*")))


def parse_overrides(items: list[str]) -> dict[str, Any]:
    """Read `key=value` arguments; values are spelled as in a task file.

    `@FILE` stands for the overrides in a file, one `key: value` a line.

    Raises:
        BadInput: an item without `=`, or a value that is not YAML.
    """
    overrides: dict[str, Any] = {}
    for item in items:
        if item.startswith("@"):
            overrides |= _of_file(Path(item[1:]))
            continue
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise BadInput(f"--set {item}", "is not key=value", fix="as in --set learn.history=12")
        overrides[key.strip()] = scalar(text, f"--set {key.strip()}")
    return overrides


def _of_file(path: Path) -> dict[str, Any]:
    found = read_yaml(path).value
    if not isinstance(found, dict):
        raise BadInput(
            f"--set @{path}", "holds no overrides", expected="lines as learn.history: 12"
        )
    return found


def override(value: dict[str, Any], key: str, new: Any) -> list[str]:
    """Set dotted `key` in `value`, in place; return the keys that this drops.

    A changed `type` drops the keys that the new type lacks.

    Raises:
        BadInput: the path leads through something that has no such keys.
    """
    *folders, last = key.split(".")
    inner: Any = value
    for depth, name in enumerate(folders):
        inner = _enter(inner, name, ".".join(folders[: depth + 1]))
    if isinstance(inner, list):
        inner[_index(inner, last, key)] = new
        return []
    dropped = _foreign_keys(inner, folders, new) if last == "type" else []
    for name in dropped:
        del inner[name]
    inner[last] = new
    return dropped


def _enter(inner: Any, name: str, so_far: str) -> Any:
    if isinstance(inner, list):
        found = inner[_index(inner, name, so_far)]
    else:
        if inner.get(name) is None:
            inner[name] = {}
        found = inner[name]
    if not isinstance(found, dict | list):
        raise BadInput(f"--set {so_far}", f"is {found!r}, which has no keys")
    return found


def _index(items: list[Any], name: str, key: str) -> int:
    if not name.isdigit() or int(name) >= len(items):
        expected = f"0 to {len(items) - 1}" if items else "no key below it: the list is empty"
        raise BadInput(f"--set {key}", f"no item {name!r}", expected=expected)
    return int(name)


def _foreign_keys(inner: dict[str, Any], folders: list[str], new: Any) -> list[str]:
    """Return the keys of `inner` that the plug-in `new` has no field for."""
    family = family_at(folders)
    if family is None or inner.get("type", family.usual) == new or new not in family:
        return []
    return [name for name in inner if name not in family[str(new)].model_fields]


def nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted keys into the nested mapping that the launchpad holds."""
    whole: dict[str, Any] = {}
    for key, value in overrides.items():
        *folders, last = key.split(".")
        inner = whole
        for name in folders:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return whole


def blame(document: Document, overrides: Mapping[str, Any], where: Location) -> tuple[str, bool]:
    """Tell which override a problem at `where` comes from, and whether it surely does.

    Returns "" when none has to do with it. An override is surely to blame for what it set and for
    what it brought into being; it may be to blame for a problem of what it is a part of.
    """
    key = ".".join(map(str, where))
    for name in overrides:
        if _within(key, name):
            return name, True
        parts = tuple(int(part) if part.isdigit() else part for part in name.split("."))
        made = (parts[:end] for end in range(1, len(parts)) if parts[:end] not in document.lines)
        if any(_within(key, ".".join(map(str, part))) for part in made):
            return name, True
    return next((name for name in overrides if _within(name, key)), ""), False


def _within(key: str, folder: str) -> bool:
    return key == folder or key.startswith(f"{folder}.")
