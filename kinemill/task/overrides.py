"""Overrides of a task file: `learn.model.type=gru`, with values as in the file."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from kinemill.errors import BadInput
from kinemill.registry import Registry
from kinemill.store import Json
from kinemill.task.blocks import BLOCKS
from kinemill.task.compute import TARGETS
from kinemill.task.control import CONTROLLERS
from kinemill.task.environment import KINDS, WRAPPERS, as_environment
from kinemill.task.imitation import HEADS, IMAGES, TEXTS
from kinemill.task.own_code import is_own
from kinemill.task.plugins import (
    AUGMENTATIONS,
    CHECKS,
    COORDINATES,
    ENCODINGS,
    LOSSES,
    MODELS,
    OBJECTIVES,
    OPTIMIZERS,
    SCHEDULES,
    TRANSFORMS,
)
from kinemill.task.reinforcement import ALGORITHMS, RUNNERS
from kinemill.task.search import is_choice
from kinemill.task.settings import Settings
from kinemill.task.trackers import TRACKERS
from kinemill.task.yaml import Document, Location, read_yaml, scalar

_SPACE = ("tune", "space")
_LENGTHS = (("learn",), ("learn", "physics"))  # parts with either `steps` or `epochs`
# Locations of plug-ins in a task file, without list indices; * is any name.
_FAMILIES: dict[tuple[str, ...], Registry[type[Settings]]] = {
    ("learn",): OBJECTIVES,
    ("learn", "model"): MODELS,
    ("learn", "model", "residual"): MODELS,
    ("learn", "model", "blocks", "*"): BLOCKS,
    ("learn", "critic"): MODELS,
    ("learn", "critic", "blocks", "*"): BLOCKS,
    ("learn", "encoding", "channels", "*"): ENCODINGS,
    ("learn", "loss"): LOSSES,
    ("learn", "features"): TRANSFORMS,
    ("learn", "coordinates"): COORDINATES,
    ("learn", "optimizer"): OPTIMIZERS,
    ("learn", "schedule"): SCHEDULES,
    ("augment",): AUGMENTATIONS,
    ("validate", "checks", "*"): CHECKS,
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


def family_at(where: Iterable[str | int]) -> Registry[type[Settings]] | None:
    """Return the plug-in family of a `type` at `where`, or None without one."""
    keys = tuple(part for part in map(str, where) if not part.isdigit())
    if keys[:2] == ("learn", "physics"):  # a learn type nested in another
        keys = ("learn", *keys[2:])
    return _FAMILIES.get(keys, _FAMILIES.get((*keys[:-1], "*")))


def parse_overrides(items: list[str]) -> Json:
    """Parse `key=value` arguments; values have the syntax of a task file.

    `@FILE` reads overrides from a file, one `key: value` per line.

    Raises:
        BadInput: An item has no `=`, or a value is not YAML.
    """
    overrides: Json = {}
    for item in items:
        if item.startswith("@"):
            overrides |= _of_file(Path(item[1:]))
            continue
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise BadInput(f"--set {item}", "is not key=value", fix="as in --set learn.history=12")
        overrides[key.strip()] = scalar(text, f"--set {key.strip()}")
    return overrides


def _of_file(path: Path) -> Json:
    content = read_yaml(path).value
    if not isinstance(content, dict):
        raise BadInput(
            f"--set @{path}", "holds no overrides", expected="lines as learn.history: 12"
        )
    return content


def nested(overrides: Mapping[str, object], notes: list[str] | None = None) -> Json:
    """Return overrides as one mapping with the structure of the task file.

    A dotted key is equivalent to a mapping: `a.b: 1` is `a: {b: 1}`. Later overrides win. A later
    `type` drops earlier keys that the new type lacks. `notes` receives a line for each dropped key.
    """
    whole: Json = {}
    merge = _Merge([] if notes is None else notes, keep_untyped=True)
    for key, value in overrides.items():
        *above, last = key.split(".")
        part: Json = {last: value}
        for name in reversed(above):
            part = {name: part}
        merge.into(whole, part, ())
    return whole


def apply(value: Json, changes: Json) -> list[str]:
    """Apply overrides to the content of a task file in place; return a line per dropped key.

    A mapping merges key by key at every depth; digits are list indices. Other values replace the
    old value, and a mapping replaces a scalar. A search choice such as `{select: [...]}` is a
    value. A changed `type` drops the keys that the new type lacks.

    Raises:
        BadInput: A list index is out of range.
    """
    if isinstance(changes.get("environment"), Mapping):
        value["environment"] = as_environment(value.get("environment"))  # a name has no keys
    merge = _Merge([], keep_untyped=False)
    merge.into(value, changes, ())
    return merge.notes


@dataclass(frozen=True)
class _Merge:
    """Merge of mappings.

    Attributes:
        notes: receives a line for each dropped key.
        keep_untyped: whether a mapping without `type` is partial; if not, it has the default type.
    """

    notes: list[str]
    keep_untyped: bool

    def into(self, value: Json, changes: Mapping[str, object], at: tuple[str, ...]) -> None:
        names = {str(key): key for key in value}  # a key may be a number
        for key in sorted(changes, key=lambda name: name != "type"):  # it defines the other keys
            if key == "type":
                self._drop_foreign_keys(value, at, changes[key])
            name = names.get(str(key), str(key))
            self._drop_other_length(value, at, str(key), changes)
            value[name] = self._merge_value(value.get(name), changes[key], (*at, str(key)))

    def _drop_other_length(
        self, value: Json, at: tuple[str, ...], key: str, changes: Mapping[str, object]
    ) -> None:
        """Drop `steps` where `epochs` is set, and the reverse."""
        replaced = {"steps": "epochs", "epochs": "steps"}.get(key)
        if at not in _LENGTHS or replaced is None or changes[key] is None or replaced in changes:
            return
        if value.pop(replaced, None) is not None:
            path = ".".join(at)
            self.notes.append(f"--set {path}.{key}: dropped {path}.{replaced}, which it replaces")

    def _merge_value(self, old: object, new: object, at: tuple[str, ...]) -> object:
        has_choice = at[:2] == _SPACE and (is_choice(old) or is_choice(new))
        if has_choice or not isinstance(new, Mapping):
            return copy.deepcopy(new)
        changes = cast(Json, new)
        if isinstance(old, list) and changes and all(str(key).isdecimal() for key in changes):
            items = cast(list[object], old)
            for key, item in changes.items():
                below = (*at, str(key))
                if int(key) >= len(items):
                    expected = f"0 to {len(items) - 1}" if items else "no index: the list is empty"
                    where = f"--set {'.'.join(below)}"
                    raise BadInput(where, f"no item '{key}'", expected=expected)
                items[int(key)] = self._merge_value(items[int(key)], item, below)
            return items
        content = cast(Json, old) if isinstance(old, dict) else {}
        if isinstance(old, str) and family_at(at) is not None:
            content = {"type": old}  # short form
        self.into(content, changes, at)
        return content

    def _drop_foreign_keys(self, value: Json, at: tuple[str, ...], new: object) -> None:
        """Drop the keys that the plug-in `new` lacks."""
        family = family_at(at)
        if family is None or not isinstance(new, str) or not (new in family or is_own(new)):
            return
        if value.get("type", new if self.keep_untyped else family.usual) == new:
            return
        fields = {"type"} if is_own(new) else set(family[new].model_fields)
        dropped = [name for name in value if name not in fields]
        for name in dropped:
            del value[name]
        if dropped:
            key = ".".join((*at, "type"))
            self.notes.append(f"--set {key}={new}: dropped {', '.join(dropped)}, which {new} lacks")


def blame(document: Document, overrides: Mapping[str, object], where: Location) -> tuple[str, bool]:
    """Return the override that caused a problem at `where`, and whether this is certain.

    Return "" if no override is involved. An override certainly caused problems of values that it
    set or created; it may have caused problems of the part that contains it.
    """
    key = ".".join(map(str, where))
    # `--set control={...}` is an override for each of its keys: the nearest one comes first.
    nearest_first = sorted(overrides, key=lambda name: not _is_within(name, key))
    for name in overrides:
        if _is_within(key, name):
            return name, True
    for name in nearest_first:
        parts = tuple(int(part) if part.isdigit() else part for part in name.split("."))
        made = (parts[:end] for end in range(1, len(parts)) if parts[:end] not in document.lines)
        if any(_is_within(key, ".".join(map(str, part))) for part in made):
            return name, True
    return next((name for name in overrides if _is_within(name, key)), ""), False


def _is_within(key: str, folder: str) -> bool:
    return key == folder or key.startswith(f"{folder}.")
