"""Custom code of a project: `file.py:name` as the `type` of a plug-in.

Loading a task reads and runs the file. Its text becomes the setting `source`, so the code is part
of every stage key and of every recorded task, and other processes need no file. Parameters of the
class or function are further settings.

The file must be in the project of the task: paths and symbolic links cannot leave its folder. A web
request cannot set a file or a source, except those in the task file.
"""

import ast
import hashlib
import inspect
import linecache
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType, NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, Field, create_model
from pydantic.errors import PydanticUserError
from pydantic.json_schema import JsonSchemaValue

from kinemill.errors import BadInput, KinemillError
from kinemill.registry import nearest
from kinemill.store.project import is_project
from kinemill.task.bounds import Quantity
from kinemill.task.settings import Plugin
from kinemill.task.web_overrides import LOCAL, allow

_NAME = re.compile(r"[^:]+\.py:[A-Za-z_]\w*")
_FRAME = re.compile(r"<(.+\.py) [0-9a-f]{12}>")  # file name in tracebacks
_INT = 2**31 - 1
# Custom code in the JSON schema of task files; only the loader knows its settings.
OWN_SCHEMA: JsonSchemaValue = {
    "type": "object",
    "properties": {
        "type": {
            "type": "string",
            "pattern": r"\.py:[A-Za-z_]\w*$",
            "description": "custom code: `file.py:name` relative to the task file",
        }
    },
    "required": ["type"],
}
# Bounds of settings without bounds in the code; see `kinemill.task.bounds`.
_BOUNDED: dict[Any, Any] = {int: Annotated[int, Field(ge=-_INT, le=_INT)], float: Quantity}
_MOST = 1 << 20  # bytes of a file


def is_own(value: object) -> bool:
    """Return whether a value is custom code, `file.py:name`."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


class OwnCode(Plugin):
    """Base class of plug-ins with custom code; each family has one subclass.

    Attributes:
        arguments: arguments of the call; other parameters of the code are settings.
        by_name: whether `arguments` are passed by name; the code can lack those not `needed`.
        needed: required arguments of the code.
        protocol: base class of the family; a subclass in the file is a plug-in itself.
        code: the class or function.
    """

    arguments: ClassVar[tuple[str, ...]]
    by_name: ClassVar[bool] = False
    needed: ClassVar[tuple[str, ...]] = ()
    protocol: ClassVar[type[Plugin]]
    code: ClassVar[Callable[..., Any]]
    names: ClassVar[tuple[str, ...]] = ()  # names of the settings that are parameters of the code

    source: str = Field(description="text of the file, read when the task is loaded")

    def accepted(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments that the code accepts."""
        names = inspect.signature(self.code).parameters
        return {name: value for name, value in arguments.items() if name in names}

    def call(self, *arguments: object) -> Any:
        """Call the code with arguments and settings.

        Raises:
            BadInput: It fails; the message names its line.
        """
        return self.run(self.code, *arguments, **self.keywords)

    def run(
        self, function: Callable[..., object], *arguments: object, **keywords: object
    ) -> object:
        """Call a function or method of the code.

        Raises:
            BadInput: It fails; the message names its line.
        """
        try:
            return function(*arguments, **keywords)
        except KinemillError:
            raise
        except Exception as error:
            raise BadInput(self.type, f"fails ({line_of(error)})") from error

    @property
    def keywords(self) -> dict[str, object]:
        """The settings that are keyword arguments of the code."""
        return {name: getattr(self, name) for name in self.names}


def has_own_code(part: object) -> bool:
    """Return whether a part of a task, or a part below it, is custom code."""
    return bool(code_of(part))


def code_of(part: object, at: str = "") -> dict[str, dict[str, str]]:
    """Return overrides with the custom code of a task, for a copy of the task file alone.

    Args:
        part: the task, or a part of it.
        at: dotted key of the part, or "".
    """
    items: list[tuple[object, object]] = []
    if isinstance(part, Plugin) and "source" in type(part).model_fields:
        source: Any = part
        return {at: {"type": part.type, "source": source.source}}
    if isinstance(part, BaseModel):
        fields = type(part).model_fields
        items = [(info.alias or name, getattr(part, name)) for name, info in fields.items()]
    elif isinstance(part, Mapping):
        items = list(cast(Mapping[object, object], part).items())
    elif isinstance(part, list | tuple):
        items = list(enumerate(cast(list[object], part)))
    overrides: dict[str, dict[str, str]] = {}
    for key, below in items:
        overrides |= code_of(below, f"{at}.{key}" if at else str(key))
    return overrides


def make_own(adapter: type[OwnCode], value: Mapping[str, object], context: object) -> Plugin:
    """Return a plug-in of custom code.

    Args:
        adapter: subclass of `OwnCode` of the family.
        value: `type`, the settings, and in a recorded task `source`.
        context: pydantic's context.

    Raises:
        ValueError: The code cannot be read or run, or does not accept the settings.
    """
    named, source = str(value["type"]), value.get("source")
    LOCAL.check(f"type of {adapter.__name__}", named, context)
    what = f"source of {adapter.__name__}"
    if source is None:
        source = _read(named, context)
        allow(what, source, context)  # a search passes all settings of the task
    else:
        LOCAL.check(what, source, context)
    member = _member(adapter, named, str(source))
    if unknown := [name for name in value if name not in member.model_fields]:
        names = [name for name in member.model_fields if name not in ("type", "source")]
        hint = nearest(unknown[0], names) if names else "it has none"
        message = f"{named} has no setting {unknown[0]!r}; {hint}"
        raise ValueError(message)
    return member.model_validate({**value, "source": source}, context=context)


def _read(named: str, context: object) -> str:
    """Return the text of a file of the project.

    Raises:
        ValueError: The file does not exist, or it imports another file of the project.
    """
    folder = context.get("folder") if isinstance(context, dict) else None
    if folder is None:
        message = f"{named} needs a task file for its folder; set `source` instead"
        raise ValueError(message)
    name = named.rpartition(":")[0]
    path = _project_file(Path(folder), name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{name} cannot be read ({error})"
        raise ValueError(message) from error
    if len(text) > _MOST:
        message = f"{name} has {len(text)} characters; expected at most {_MOST}"
        raise ValueError(message)
    if other := _local_import(_parse(name, text), path.parent):
        message = (
            f"{name} imports {other}, another file of the project, which is not part of the cache "
            f"key; put both into one file, or install it as a package"
        )
        raise ValueError(message)
    return text


def _project_file(folder: Path, name: str) -> Path:
    """Return the resolved path of a file in the project of a task file."""
    folder = folder.resolve()
    root = next((one for one in (folder, *folder.parents) if is_project(one)), folder)
    path = (folder / name).resolve()
    if Path(name).is_absolute() or name.startswith("~"):
        message = f"{name} is an absolute path; expected a path relative to the task file"
        raise ValueError(message)
    if not path.is_relative_to(root):
        message = f"{name} is outside of the project {root}; copy the file into it"
        raise ValueError(message)
    if not path.is_file():
        files = [str(one.relative_to(folder)) for one in folder.glob("*.py")]
        hint = nearest(name, files) if files else "expected a path relative to the task file"
        message = f"there is no file {folder / name}; {hint}"
        raise ValueError(message)
    return path


def _parse(name: str, text: str) -> ast.Module:
    try:
        return ast.parse(text, name)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        message = f"{name}:{line}: is not Python ({error})"
        raise ValueError(message) from error


def _local_import(tree: ast.Module, folder: Path) -> str | None:
    """Return the first imported module that is a file or package next to the code, or None."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                return "." * node.level + (node.module or "")
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            if (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file():
                return name
    return None


class _Text(InspectLoader):
    """Loader of a module from text; tracebacks have the file and the digest of the text."""

    def __init__(self, filename: str, source: str) -> None:
        self._filename, self._source = filename, source

    def get_source(self, fullname: str) -> str:
        """Return the text."""
        del fullname
        return self._source

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled text."""
        return self.source_to_code(self.get_source(fullname), self._filename)


@cache
def _module(name: str, source: str) -> ModuleType:
    """Run the text of a file as a module."""
    _parse(name, source)
    short = hashlib.sha256(source.encode()).hexdigest()[:12]
    filename = f"<{name} {short}>"
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)  # for tracebacks
    loader = _Text(filename, source)
    full = f"kinemill_own_{re.sub(r'[^0-9A-Za-z]', '_', name)}_{short}"
    module = module_from_spec(ModuleSpec(full, loader, origin=filename))
    module.__file__ = filename
    sys.modules[module.__name__] = module  # dataclasses and annotations look the module up there
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        message = f"{name} cannot be run ({line_of(error)})"
        raise ValueError(message) from error
    return module


def line_of(error: BaseException) -> str:
    """Describe an error with its line in custom code: `my_net.py:12: ValueError: ...`."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if match := _FRAME.fullmatch(frame.filename):
            return f"{match[1]}:{frame.lineno}: {_spell(error)}"
    return _spell(error)


def _spell(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


@lru_cache(maxsize=256)
def _member(adapter: type[OwnCode], named: str, source: str) -> type[Plugin]:
    """Return the plug-in class of custom code: its fields are the settings."""
    name, _, what = named.rpartition(":")
    module = _module(name, source)
    target = getattr(module, what, None)
    if not callable(target):
        own = [
            key
            for key, one in vars(module).items()
            if callable(one) and getattr(one, "__module__", None) == module.__name__
        ]
        message = f"{name} has no class or function {what!r}; {nearest(what, own)}"
        raise ValueError(message)
    if isinstance(target, type) and issubclass(target, adapter.protocol):
        return _as_plugin(target, named)
    fields = _settings(adapter, target, named)
    made = create_model(
        what, __base__=adapter, __module__=module.__name__, __doc__=target.__doc__, **fields
    )
    made.code, made.names = staticmethod(target), tuple(fields)
    return made


def _as_plugin(target: type[Plugin], named: str) -> type[Plugin]:
    """Return a plug-in class of a file with the additional fields `type` and `source`."""
    fields: dict[str, Any] = {
        "type": (Literal[named], named),
        "source": (str, Field(description="text of the file, read when the task is loaded")),
    }
    return create_model(target.__name__, __base__=target, __doc__=target.__doc__, **fields)


def _settings(adapter: type[OwnCode], target: Callable[..., Any], named: str) -> dict[str, Any]:
    """Return the fields of the settings: all parameters except the family's arguments."""
    try:
        parameters = list(inspect.signature(target, eval_str=True).parameters.values())
    except (ValueError, TypeError, NameError) as error:
        message = f"{named} has no readable signature ({error})"
        raise ValueError(message) from error
    rest = _without_arguments(adapter, parameters, named)
    fields: dict[str, Any] = {}
    for one in rest:
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        if one.name.startswith("_") or hasattr(adapter, one.name) or one.name in _fields(adapter):
            message = f"{named} has a parameter {one.name!r}, which is reserved; rename it"
            raise ValueError(message)
        fields[one.name] = _setting(one)
    try:
        create_model("Settings", **fields)
    except PydanticUserError as error:
        message = (
            f"{named} has a parameter of a type that task files do not support "
            f"({(str(error).splitlines() or [''])[0]}); annotate it as int, float, bool, str, list "
            "or dict"
        )
        raise ValueError(message) from error
    return fields


def _fields(adapter: type[OwnCode]) -> set[str]:
    return {*adapter.model_fields, "type", "source"}


def _without_arguments(
    adapter: type[OwnCode], parameters: list[inspect.Parameter], named: str
) -> list[inspect.Parameter]:
    """Return the parameters except the arguments that the family passes.

    Raises:
        ValueError: The code does not accept these arguments.
    """
    arguments = ", ".join(adapter.arguments)
    if adapter.by_name:
        names = {one.name for one in parameters}
        if missing := [name for name in adapter.needed if name not in names]:
            message = f"{named} takes no {missing[0]!r}; expected the parameters ({arguments}, ...)"
            raise ValueError(message)
        return [one for one in parameters if one.name not in adapter.arguments]
    count = len(adapter.arguments)
    positional = [
        one
        for one in parameters[:count]
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) < count:
        message = f"{named} takes {len(positional)} arguments; expected ({arguments}, ...)"
        raise ValueError(message)
    return parameters[count:]


def _setting(parameter: inspect.Parameter) -> tuple[Any, Any]:
    """Return type and default of a setting; web requests can set numbers and choices only."""
    has_default = parameter.default is not parameter.empty
    kind: Any = parameter.annotation
    if kind is parameter.empty:
        plain = has_default and isinstance(parameter.default, bool | int | float | str)
        kind = type(parameter.default) if plain else Any
    kind = _BOUNDED.get(kind, kind) if isinstance(kind, type) else kind
    if not _is_harmless(kind):
        kind = Annotated[kind, LOCAL]
    return kind, parameter.default if has_default else ...


def _is_harmless(kind: object) -> bool:
    """Return whether a type is safe for web requests: numbers, choices, and lists of them."""
    if get_origin(kind) is Annotated:
        return _is_harmless(get_args(kind)[0])
    if get_origin(kind) is Literal or kind in (bool, int, float, NoneType, None, ...):
        return True
    origins = (list, tuple, Union, UnionType)
    parts = get_args(kind)
    return get_origin(kind) in origins and bool(parts) and all(map(_is_harmless, parts))
