"""Source of Python objects: a class or function of a notebook as custom code of a task.

The source is the text of the object and of everything that it uses: imports, constants, functions
and classes of the notebook. It becomes the setting `source`, so a task with objects is cached,
registered and run by other processes like a task with files.
"""

import ast
import builtins
import functools
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions
from types import CodeType, FunctionType, ModuleType

from kinemill.errors import BadInput

Definition = type | FunctionType
_PLAIN = (int, float, complex, str, bytes, bool, type(None))
_FIX = "move it to a file of the project and use `file.py:name`"


def capture(thing: object, what: str) -> dict[str, object]:
    """Return a class or function as custom code in the form of a task file.

    Args:
        thing: class, function, or `functools.partial` of one whose keywords are settings.
        what: name in errors, such as `objects.model`.

    Raises:
        BadInput: The source is not available, or it uses an object without a source.
    """
    settings: dict[str, object] = {}
    while isinstance(thing, functools.partial):
        if thing.args:
            problem = "is a partial with positional arguments"
            raise BadInput(what, problem, fix="pass the settings by name")
        settings = {**thing.keywords, **settings}
        thing = thing.func
    name, definition = _named(thing, what)
    collected = _Collected(what)
    collected.add(name, definition)
    return {"type": f"{name}.py:{name}", "source": collected.text, **settings}


def _named(thing: object, what: str) -> tuple[str, Definition]:
    name = getattr(thing, "__name__", None)
    if not isinstance(thing, type | FunctionType):
        kind = type(thing).__name__
        expected = "a class or function that is written in Python"
        raise BadInput(what, f"is a {kind}", expected=expected, fix=_FIX)
    if name is None or not name.isidentifier():
        problem = "is a lambda, whose source has no name"
        raise BadInput(what, problem, expected="a function", fix="write it with `def`")
    return name, thing


@dataclass
class _Collected:
    """Source texts in the order in which a file needs them.

    Attributes:
        what: name of the object in errors.
        imports: import lines.
        parts: definitions in order of use; None while one is collected.
    """

    what: str
    imports: dict[str, str] = field(default_factory=dict[str, str])
    parts: dict[str, str | None] = field(default_factory=dict[str, str | None])

    @property
    def text(self) -> str:
        """The text of the file."""
        lines = "\n".join(self.imports.values())
        return "\n\n\n".join([*([lines] if lines else []), *filter(None, self.parts.values())])

    def add(self, name: str, thing: Definition) -> None:
        """Add a definition after everything that it uses."""
        if name in self.parts or name in self.imports:
            return
        self.parts[name] = None  # a function can call itself
        source = _source(thing, self.what)
        scope = _scope(thing)
        for used in sorted(_global_names(source)):
            if used in scope:
                self._add_used(used, scope[used])
            elif used != name and not hasattr(builtins, used):
                fix = f"pass it as a parameter with a default; or {_FIX}"
                problem = f"{name} uses {used!r}, which is not a global name"
                raise BadInput(self.what, problem, fix=fix)
        del self.parts[name]
        self.parts[name] = source

    def _add_used(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType):
            self.imports[name] = _import_line(name, value)
        elif isinstance(value, _PLAIN):
            self.parts.setdefault(name, f"{name} = {value!r}")
        elif isinstance(value, type | FunctionType) and _is_of_notebook(value):
            self.add(name, value)
        elif (module := getattr(value, "__module__", None)) and _is_in(module, value):
            imported = getattr(value, "__qualname__", name)
            self.imports[name] = f"from {module} import {imported} as {name}"
        elif _is_plain(value):
            self.parts.setdefault(name, f"{name} = {value!r}")
        else:
            problem = f"uses {name!r}, a {type(value).__name__}, which has no source"
            fix = f"make it a parameter or compute it inside; or {_FIX}"
            raise BadInput(self.what, problem, fix=fix)


def _import_line(name: str, module: ModuleType) -> str:
    return f"import {module.__name__} as {name}" if name != module.__name__ else f"import {name}"


def _is_plain(value: object) -> bool:
    """Return whether a value is a number, a text, or a container of such values."""
    if isinstance(value, Mapping):
        return type(value) is dict and all(
            _is_plain(item) for pair in value.items() for item in pair
        )
    if type(value) in (list, tuple, set, frozenset):
        return all(map(_is_plain, value))  # pyright: ignore[reportArgumentType]
    return isinstance(value, _PLAIN)


def _is_of_notebook(thing: Definition) -> bool:
    """Return whether an object is defined in a notebook, script or test, not in a package."""
    file = getattr(sys.modules.get(thing.__module__), "__file__", None)
    return thing.__module__ == "__main__" or file is None or not _is_installed(thing.__module__)


def _is_installed(module: str) -> bool:
    """Return whether other processes can import a module: of a distribution or of Python."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in _distributions() or top == "kinemill"


@functools.cache
def _distributions() -> frozenset[str]:
    return frozenset(packages_distributions())


def _is_in(module: str, value: object) -> bool:
    name = getattr(value, "__qualname__", getattr(value, "__name__", ""))
    return name.isidentifier() and hasattr(sys.modules.get(module), name) and _is_installed(module)


def _source(thing: Definition, what: str) -> str:
    """Return the text of a class or function."""
    try:
        lines = inspect.getsource(thing) if isinstance(thing, FunctionType) else _of_class(thing)
    except (OSError, TypeError) as error:
        problem = (
            f"has no source ({error}): it is defined in an interactive prompt, or not in Python"
        )
        raise BadInput(f"{what}: {thing.__name__}", problem, fix=_FIX) from error
    return textwrap.dedent(lines).rstrip()


def _of_class(thing: type) -> str:
    """Return the text of a class; `inspect` does not support notebook cells."""
    code = next(_codes(thing), None)
    if code is None:
        return inspect.getsource(thing)
    text = "".join(linecache.getlines(code.co_filename))
    if not text:
        raise OSError(f"no text of {code.co_filename}")
    name = thing.__qualname__.replace("<locals>.", "").split(".")[-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first <= code.co_firstlineno <= (node.end_lineno or 0):
                return "".join(text.splitlines(keepends=True)[first - 1 : node.end_lineno])
    raise OSError(f"no class {name} in {code.co_filename}")


def _codes(thing: type) -> Iterator[CodeType]:
    for value in vars(thing).values():
        function: Callable[..., object] = getattr(value, "__func__", value)
        if isinstance(function, FunctionType) and function.__module__ == thing.__module__:
            yield function.__code__


def _scope(thing: Definition) -> Mapping[str, object]:
    """Return the objects of the global names of a class or function."""
    if isinstance(thing, FunctionType):
        cells = inspect.getclosurevars(thing).nonlocals
        return {**thing.__globals__, **cells}
    scope: dict[str, object] = dict(vars(sys.modules[thing.__module__]))
    for value in vars(thing).values():
        if isinstance(value, FunctionType):
            cells = inspect.getclosurevars(value).nonlocals
            scope |= value.__globals__ | {k: cell for k, cell in cells.items() if k != "__class__"}
    return scope


def _global_names(source: str) -> set[str]:
    """Return the names that a definition uses and does not define."""
    names: set[str] = set()
    waiting = [symtable.symtable(source, "source", "exec")]
    top = waiting[0]
    defined = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned()}
    while waiting:
        table = waiting.pop()
        names |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (symbol.is_global() or table is top)
        }
        waiting += table.get_children()
    return names - defined
