"""Custom code of a project: `file.py:name` as the `type` of a plug-in.

Loading a task reads and runs the file. Its text becomes the setting `source`, so the code is part
of every stage key and of every recorded task, and other processes need no file. Parameters of the
class or function are further settings.

The file must be in the project of the task: paths and symbolic links cannot leave its folder. A web
request cannot set a file or a source, except those in the task file.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import Field, create_model
from pydantic.errors import PydanticUserError
from pydantic.json_schema import JsonSchemaValue

from kinemill.errors import BadInput, KinemillError
from kinemill.registry import nearest
from kinemill.task.bounds import Quantity
from kinemill.task.own_module import line_of, read_source, run_module
from kinemill.task.settings import Plugin, children
from kinemill.task.web_overrides import LOCAL, allow

_NAME = re.compile(r"[^:]+\.py:[A-Za-z_]\w*")
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
_BOUNDED: dict[type, object] = {int: Annotated[int, Field(ge=-_INT, le=_INT)], float: Quantity}


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

    source: str
    """text of the file, read when the task is loaded"""

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
    """Return overrides with the custom code of a task, for a copy of the task file alone."""
    if isinstance(part, Plugin) and "source" in type(part).model_fields:
        source: Any = part
        return {at: {"type": part.type, "source": source.source}}
    overrides: dict[str, dict[str, str]] = {}
    for key, below in children(part):
        overrides |= code_of(below, f"{at}.{key}" if at else str(key))
    return overrides


def make_own(adapter: type[OwnCode], value: Mapping[str, object], context: object) -> Plugin:
    """Return a plug-in of custom code.

    `value` holds `type`, the settings, and in a recorded task `source`.

    Raises:
        ValueError: The code cannot be read or run, or does not accept the settings.
    """
    named = str(value["type"])
    source = value.get("source")
    LOCAL.check(f"type of {adapter.__name__}", named, context)
    what = f"source of {adapter.__name__}"
    if source is None:
        source = read_source(named, context)
        allow(what, source, context)  # a search passes all settings of the task
    else:
        LOCAL.check(what, source, context)
    member = _member(adapter, named, str(source))
    if unknown := [name for name in value if name not in member.model_fields]:
        names = [name for name in member.model_fields if name not in ("type", "source")]
        hint = nearest(unknown[0], names) if names else "it has none"
        raise ValueError(f"{named} has no setting {unknown[0]!r}; {hint}")
    return member.model_validate({**value, "source": source}, context=context)


@lru_cache(maxsize=256)
def _member(adapter: type[OwnCode], named: str, source: str) -> type[Plugin]:
    """Return the plug-in class of custom code: its fields are the settings."""
    name, _, what = named.rpartition(":")
    module = run_module(name, source)
    target = getattr(module, what, None)
    if not callable(target):
        members = [
            key
            for key, member in vars(module).items()
            if callable(member) and getattr(member, "__module__", None) == module.__name__
        ]
        raise ValueError(f"{name} has no class or function {what!r}; {nearest(what, members)}")
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
        raise ValueError(f"{named} has no readable signature ({error})") from error
    rest = _without_arguments(adapter, parameters, named)
    fields: dict[str, Any] = {}
    for parameter in rest:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if (
            parameter.name.startswith("_")
            or hasattr(adapter, parameter.name)
            or parameter.name in _fields(adapter)
        ):
            message = f"{named} has a parameter {parameter.name!r}, which is reserved; rename it"
            raise ValueError(message)
        fields[parameter.name] = _setting(parameter)
    try:
        create_model("Settings", **fields)
    except PydanticUserError as error:
        raise ValueError(
            f"{named} has a parameter of a type that task files do not support "
            f"({(str(error).splitlines() or [''])[0]}); annotate it as int, float, bool, str, list "
            "or dict"
        ) from error
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
        names = {parameter.name for parameter in parameters}
        if missing := [name for name in adapter.needed if name not in names]:
            message = f"{named} takes no {missing[0]!r}; expected the parameters ({arguments}, ...)"
            raise ValueError(message)
        return [parameter for parameter in parameters if parameter.name not in adapter.arguments]
    count = len(adapter.arguments)
    positional = [
        parameter
        for parameter in parameters[:count]
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) < count:
        raise ValueError(f"{named} takes {len(positional)} arguments; expected ({arguments}, ...)")
    return parameters[count:]


def _setting(parameter: inspect.Parameter) -> tuple[object, object]:
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
