"""Files with custom code of a project: read from the project, and run as modules.

The file must be in the project of the task: paths and symbolic links cannot leave its folder.
"""

import ast
import hashlib
import linecache
import re
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType

from kinemill.errors import BadInput
from kinemill.failures import as_known_failure
from kinemill.registry import nearest
from kinemill.store.project import is_project

_FRAME = re.compile(r"<(.+\.py) [0-9a-f]{12}>")  # file name in tracebacks
_MOST = 1 << 20  # characters of a file


def read_source(named: str, context: object) -> str:
    """Return the text of a file of the project.

    `named` is `file.py:name`, relative to the task file.

    Raises:
        ValueError: The file does not exist, or it imports another file of the project.
    """
    folder = context.get("folder") if isinstance(context, dict) else None
    if folder is None:
        raise ValueError(f"{named} needs a task file for its folder; set `source` instead")
    name = named.rpartition(":")[0]
    path = _project_file(Path(folder), name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} cannot be read ({error})") from error
    if len(text) > _MOST:
        raise ValueError(f"{name} has {len(text)} characters; expected at most {_MOST}")
    if peer := _local_import(_parse(name, text), path.parent):
        raise ValueError(
            f"{name} imports {peer}, another file of the project, which is not part of the cache "
            f"key; put both into one file, or install it as a package"
        )
    return text


def _project_file(folder: Path, name: str) -> Path:
    """Return the resolved path of a file in the project of a task file."""
    folder = folder.resolve()
    root = next((parent for parent in (folder, *folder.parents) if is_project(parent)), folder)
    path = (folder / name).resolve()
    if Path(name).is_absolute() or name.startswith("~"):
        raise ValueError(f"{name} is an absolute path; expected a path relative to the task file")
    if not path.is_relative_to(root):
        raise ValueError(f"{name} is outside of the project {root}; copy the file into it")
    if not path.is_file():
        files = [str(file.relative_to(folder)) for file in folder.glob("*.py")]
        hint = nearest(name, files) if files else "expected a path relative to the task file"
        raise ValueError(f"there is no file {folder / name}; {hint}")
    return path


def _parse(name: str, text: str) -> ast.Module:
    try:
        return ast.parse(text, name)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ValueError(f"{name}:{line}: is not Python ({error})") from error


def _local_import(tree: ast.Module, folder: Path) -> str | None:
    """Return the first imported module that is a file or package next to the code, or None."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
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
        self._filename = filename
        self._source = source

    def get_source(self, fullname: str) -> str:
        """Return the text."""
        del fullname
        return self._source

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled text."""
        return self.source_to_code(self.get_source(fullname), self._filename)


@cache
def run_module(name: str, source: str) -> ModuleType:
    """Run the text of a file as a module, once per text.

    Raises:
        ValueError: The text is not Python, or it raises an error.
    """
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
        raise ValueError(f"{name} cannot be run ({line_of(error)})") from error
    return module


def line_of(error: BaseException) -> str:
    """Describe an error with its line in custom code: `my_net.py:12: ValueError: ...`."""
    line = _own_line(error)
    return f"{line}: {_spell(error)}" if line else _spell(error)


@contextmanager
def own_code_errors() -> Generator[None]:
    """Convert an unexpected error that passed through custom code, such as a user's network.

    Raises:
        BadInput: The error with its line in the file.
    """
    try:
        yield
    except Exception as error:
        line = _own_line(error)
        if not line or as_known_failure(error):
            raise
        raise BadInput(line, _spell(error), fix="correct the file") from error


def _own_line(error: BaseException) -> str:
    """Return the innermost line of custom code that an error passed, empty without one."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if match := _FRAME.fullmatch(frame.filename):
            return f"{match[1]}:{frame.lineno}"
    return ""


def _spell(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
