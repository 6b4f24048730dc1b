"""YAML 1.2 with line numbers: values of a task file and their locations.

ruamel.yaml parses the file; PyYAML implements YAML 1.1, which reads `1e-3` as text and `on` as
true. The parser's nodes have lines, so errors can name the line of a value.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML, SafeRepresenter
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kinemill.errors import BadInput, TaskError
from kinemill.store import Json

Location = tuple[str | int, ...]

MAX_DEPTH = 100  # levels; a task has six
MOST_VALUES = 100_000  # a task has a few hundred
MANY = f"more than {MOST_VALUES} values, aliases counted as often as they are used"
_LONGEST_LINE = 1 << 30  # characters
_NO_COLON = "could not find expected ':'"
_TAG = "tag:yaml.org,2002:"
_CONVERTED = {"bool", "int", "float", "null"}
_KINDS = _CONVERTED | {"map", "seq", "str", "timestamp", "merge", "value"}  # the last three: text


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
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise TaskError([f"{path}: does not exist; use the path of a task file"]) from error
    except OSError as error:
        raise TaskError([f"{path}: cannot be read: {error.strerror}"]) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"has the byte 0x{content[error.start]:02x}, which is not UTF-8"
        raise TaskError([f"{path}:{line}: {problem}; save the file as UTF-8"]) from error
    reader = _Reader(path)
    try:
        value = reader.read_text(text)
    except MarkedYAMLError as error:
        # A key without a colon shows in the next line only.
        is_key = error.problem == _NO_COLON and error.context_mark is not None
        mark = error.context_mark if is_key else error.problem_mark
        line = mark.line + 1 if mark else 1
        problem = "a key without `:`; write `key: value`" if is_key else _problem(error)
        raise TaskError([f"{path}:{line}: not YAML: {problem}"]) from error
    except YAMLError as error:
        raise TaskError([f"{path}: not YAML: {error}"]) from error
    if reader.problems:
        raise TaskError(reader.problems)
    return Document(path, value, reader.lines)


_BOOLEANS_1_1 = {"yes", "no", "on", "off"}


class _Line(SafeRepresenter):
    """Representer for documents on one line."""

    multiline: str | None = None  # style of texts of several lines: escapes

    def represent_text(self, text: str) -> ScalarNode:
        """Return the node of a text."""
        style = self.multiline if "\n" in text else None
        # ruamel.yaml does not quote indicators in {} and []. Readers of YAML 1.1, such as PyYAML,
        # take `off` for false.
        if text.startswith(("?", ":")) or text.lower() in _BOOLEANS_1_1:
            style = "'"
        return self.represent_scalar(f"{_TAG}str", text, style=style)


_Line.add_representer(str, _Line.represent_text)


class _Blocks(_Line):
    """Representer that writes texts of several lines, such as custom code, as literal blocks."""

    multiline = "|"


def dump_yaml(value: Json) -> str:
    """Return a task, or a document with one, as YAML; keys keep their order."""
    yaml = _yaml()
    yaml.Representer = _Blocks
    yaml.default_flow_style = False
    return _dump(yaml, value)


def dump_line(value: object) -> str:
    """Return a value as YAML on one line."""
    yaml = _yaml()
    yaml.Representer = _Line
    yaml.default_flow_style = True
    yaml.width = _LONGEST_LINE
    return _dump(yaml, value).removesuffix("\n").removesuffix("\n...")


def _dump(yaml: YAML, value: object) -> str:
    yaml.representer.sort_base_mapping_type_on_output = False
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def _yaml() -> YAML:
    """Return a parser and writer of plain values."""
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    return yaml


def scalar(text: str, where: str = "value") -> object:
    """Parse a value as in a task file: `1e-3` is a number, `on` is text, `[1, 2]` a list.

    Raises:
        BadInput: The text is not YAML; the message begins with `where`.
    """
    reader = _Reader(Path(where))
    try:
        value = reader.read_text(text)
    except YAMLError as error:
        raise BadInput(where, f"{text!r} is not YAML", fix=_problem(error)) from error
    if reader.problems:
        raise BadInput(where, f"{text!r} cannot be used", fix=reader.problems[0])
    return value


def _problem(error: YAMLError) -> str:
    if isinstance(error, MaxDepthExceededError):
        return f"nested deeper than {MAX_DEPTH} levels"
    problem = error.problem if isinstance(error, MarkedYAMLError) else None
    return problem or str(error).splitlines()[0]


class _Reader:
    """Converter of YAML nodes to plain values; it records lines and duplicate keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Location, int] = {}
        self.problems: list[str] = []
        self._open: set[int] = set()  # the ancestors of the current node
        self._remaining = MOST_VALUES
        self._yaml = _yaml()

    def read_text(self, text: str) -> object:
        """Return the value of a document.

        Raises:
            YAMLError: The text is not one YAML document, or is nested deeper than `MAX_DEPTH`.
        """
        node = self._yaml.compose(text)
        return self.read(node, ()) if node is not None else None

    def read(self, node: Node, at: Location) -> object:
        self.lines.setdefault(at, node.start_mark.line + 1)
        self._remaining -= 1
        if self._remaining <= 0:  # nested aliases can expand a few lines to gigabytes
            return self._complain(node, MANY) if self._remaining == 0 else None
        if id(node) in self._open:
            return self._complain(node, "an alias that refers to its own parent")
        if node.tag.removeprefix(_TAG) not in _KINDS:
            return self._complain(node, f"the tag {node.tag} is not supported")
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, at)
            if isinstance(node, SequenceNode):
                return [self.read(item, (*at, index)) for index, item in enumerate(node.value)]
            return self._scalar(cast("ScalarNode", node))
        finally:
            self._open.remove(id(node))

    def _complain(self, node: Node, what: str) -> None:
        self.problems.append(f"{self.path}:{node.start_mark.line + 1}: {what}")

    def _mapping(self, node: MappingNode, at: Location) -> Json:
        values: Json = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._complain(key_node, "a key that is not plain text")
            elif key in values:
                first = self.lines[(*at, key)]
                self._complain(key_node, f"{key!r} is duplicated, first in line {first}; keep one")
            else:
                self.lines[(*at, key)] = line
                values[key] = self.read(value_node, (*at, key))
        return values

    def _scalar(self, node: ScalarNode) -> bool | int | float | str | None:
        kind = node.tag.removeprefix(_TAG)
        # The core schema has no dates, and no numbers with underscores.
        if kind not in _CONVERTED or "_" in node.value:
            return node.value
        try:
            return self._yaml.constructor.construct_object(node)
        except (ValueError, KeyError, IndexError):
            return self._complain(node, f"{node.value!r} is not a valid {kind}")
