"""YAML 1.2 with line numbers: values of a task file and their locations.

PyYAML implements YAML 1.1: it reads `1e-3` as text, `on` as true and `012` as 10, and silently
keeps the last of two equal keys. Here scalars follow the YAML 1.2 core schema, and duplicate keys
are errors.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kinemill.errors import BadInput, TaskError
from kinemill.store import Json

Location = tuple[str | int, ...]

_CORE_SCHEMA: list[tuple[str, re.Pattern[str], str]] = [
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), "-+0123456789"),
    (
        "float",
        re.compile(
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
            r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
        ),
        "-+.0123456789",
    ),
    ("null", re.compile(r"~|null|Null|NULL|"), "~nN"),
]


class _Core(yaml.SafeLoader):
    """PyYAML's safe loader with the resolvers of the YAML 1.2 core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _kind, _pattern, _first in _CORE_SCHEMA:
    _Core.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}",
        re.compile(rf"(?:{_pattern.pattern})\Z"),
        [*_first, ""] if _kind == "null" else list(_first),
    )


# The loader on libyaml takes a sixth of the time; some builds of PyYAML lack it.
_Fast: type[yaml.SafeLoader | yaml.CSafeLoader] = _Core
if yaml.__with_libyaml__:
    _Fast = type(
        "_Fast", (yaml.CSafeLoader,), {"yaml_implicit_resolvers": _Core.yaml_implicit_resolvers}
    )


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: its value, and the line (from 1) of every key and item in it.

    A task without a file has no path and no lines.
    """

    path: Path | None
    value: Any
    lines: dict[Location, int] = field(default_factory=dict[Location, int])

    def line(self, location: Location) -> int:
        """Return the line of `location`, or of the nearest enclosing node that has one."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def position(self, location: Location) -> str:
        """Return file and line of `location`, for errors; without a file the task's name."""
        if self.path is not None:
            return f"{self.path}:{self.line(location)}"
        name = self.value.get("task") if isinstance(self.value, dict) else None
        return f"task {name!r}" if name else "task"


def read_yaml(path: Path) -> Document:
    """Read one YAML document.

    Raises:
        TaskError: The file is missing, not UTF-8, not one YAML document, or has a duplicate key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError([f"{path}: cannot be read ({error})"]) from error
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TaskError([f"{path}:{line}: not YAML: {error.problem}"]) from error
    except yaml.YAMLError as error:
        raise TaskError([f"{path}: not YAML: {error}"]) from error
    reader = _Reader(path)
    value = reader.read(node, ()) if node is not None else None
    if reader.problems:
        raise TaskError(reader.problems)
    return Document(path, value, reader.lines)


class _Blocks(yaml.SafeDumper):
    """Dumper that writes texts of several lines, such as custom code, as literal blocks."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Return the node of a text."""
        style = "|" if "\n" in text else None
        if any(pattern.fullmatch(text) for _, pattern, _ in _CORE_SCHEMA):
            style = "'"  # PyYAML would not quote text such as 1e3, a number in YAML 1.2
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Blocks.add_representer(str, _Blocks.represent_text)


class _Line(_Blocks):
    """Dumper that writes texts of several lines with escapes."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Return the node of a text."""
        node = super().represent_text(text)
        return self.represent_scalar(node.tag, text, style='"') if "\n" in text else node


_Line.add_representer(str, _Line.represent_text)


def dump_yaml(value: Json) -> str:
    """Return a task, or a document with one, as YAML; keys keep their order."""
    return yaml.dump(value, Dumper=_Blocks, sort_keys=False, allow_unicode=True)


def dump_line(value: object) -> str:
    """Return a value as YAML on one line."""
    text = yaml.dump(
        value,
        Dumper=_Line,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=True,
        width=sys.maxsize,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _compose(text: str) -> yaml.Node | None:
    """Return the root node of a document.

    Raises:
        yaml.YAMLError: The text is not one YAML document, or is nested deeper than `MAX_DEPTH`.
    """
    try:
        _check_depth(yaml.parse(text, Loader=_Fast))
        return _Fast(text).get_single_node()
    except yaml.YAMLError:
        # Messages of PyYAML name the invalid character, those of libyaml do not.
        _check_depth(yaml.parse(text, Loader=_Core))
        return _Core(text).get_single_node()


def _check_depth(events: Iterator[yaml.Event]) -> None:
    """Refuse deep nesting: libyaml composes nodes recursively without a limit."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            problem = f"nested deeper than {MAX_DEPTH} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def scalar(text: str, where: str = "value") -> object:
    """Parse a value as in a task file: `1e-3` is a number, `on` is text, `[1, 2]` a list.

    Raises:
        BadInput: The text is not YAML; the message begins with `where`.
    """
    reader = _Reader(Path(where))
    try:
        node = _compose(text)
        value = reader.read(node, ()) if node is not None else None
    except yaml.YAMLError as error:
        raise BadInput(where, f"{text!r} is not YAML", fix=_first_line(error)) from error
    if reader.problems:
        raise BadInput(where, f"{text!r} cannot be used", fix=reader.problems[0])
    return value


def _first_line(error: yaml.YAMLError) -> str:
    problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else None
    return problem or str(error).splitlines()[0]


MAX_DEPTH = 100  # levels; a task has six
MOST_VALUES = 100_000  # a task has a few hundred
MANY = f"more than {MOST_VALUES} values, aliases counted as often as they are used"


class _Reader:
    """Converter of YAML nodes to plain values; it records lines and duplicate keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Location, int] = {}
        self.problems: list[str] = []
        self._open: set[int] = set()  # the ancestors of the current node
        self._remaining = MOST_VALUES

    def read(self, node: yaml.Node, at: Location) -> object:
        self.lines.setdefault(at, node.start_mark.line + 1)
        self._remaining -= 1
        if self._remaining <= 0:  # nested aliases can expand a few lines to gigabytes
            return self._complain(node, MANY) if self._remaining == 0 else None
        if id(node) in self._open:
            return self._complain(node, "an alias that refers to its own parent")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, at)
            if isinstance(node, yaml.SequenceNode):
                return [self.read(item, (*at, index)) for index, item in enumerate(node.value)]
            return self._scalar(node)
        finally:
            self._open.remove(id(node))

    def _complain(self, node: yaml.Node, what: str) -> None:
        self.problems.append(f"{self.path}:{node.start_mark.line + 1}: {what}")

    def _mapping(self, node: yaml.MappingNode, at: Location) -> Json:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._complain(key_node, "a key that is not plain text")
            elif key in values:
                first = self.lines[(*at, key)]
                self._complain(key_node, f"{key!r} is duplicated, first in line {first}; keep one")
            else:
                self.lines[(*at, key)] = line
                values[key] = self.read(value_node, (*at, key))
        return values

    def _scalar(self, node: yaml.Node) -> bool | int | float | str | None:
        kind, text = node.tag.rpartition(":")[2], str(node.value)
        try:
            if kind == "int":
                return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
            if kind == "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            return self._complain(node, f"{text!r} is not a valid {kind}")
        if kind == "bool":
            return text.lower() == "true"
        return None if kind == "null" else text
