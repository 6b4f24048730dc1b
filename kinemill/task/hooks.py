"""Custom code of a task: `module:name`, or `file.py:name` relative to the task file."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationInfo

from kinemill.errors import BadInput
from kinemill.registry import nearest

_HOOK = re.compile(r"(?:[\w.]+|.+\.py):[A-Za-z_]\w*")


def from_task_folder(value: str, info: ValidationInfo) -> str:
    """Return the absolute path of a path in a task file; relative paths start at its folder.

    An empty path, and a path without a task file, is returned unchanged.
    """
    folder = (info.context or {}).get("folder")
    return str((folder / Path(value).expanduser()).absolute()) if folder and value else value


def located(value: str, info: ValidationInfo, what: str = "function") -> str:
    """Return `file.py:name` with an absolute path, resolved from the task's folder.

    Raises:
        ValueError: The value has neither form.
    """
    if not _HOOK.fullmatch(value):
        raise ValueError(f"{value!r} is neither `module:{what}` nor `file.py:{what}`")
    return from_task_folder(value, info) if ".py:" in value else value


def file_of(name_in_task: str) -> Path | None:
    """Return the file of a `file.py:name`, or None for a module."""
    source = name_in_task.rpartition(":")[0]
    return Path(source) if source.endswith(".py") else None


def load_hook(where: str, name_in_task: str, what: str = "function") -> Any:
    """Import the callable of `module:name` or `file.py:name`.

    Raises:
        BadInput: The module, file or name does not exist.
    """
    path, (source, _, name) = file_of(name_in_task), name_in_task.rpartition(":")
    module = _from_file(where, path) if path else _get_named(where, source, what)
    function = getattr(module, name, None)
    if not callable(function):
        functions = [key for key, value in vars(module).items() if callable(value)]
        raise BadInput(where, f"{source} has no {what} {name!r}; {nearest(name, functions)}")
    return function


def _get_named(where: str, name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BadInput(
            where,
            f"cannot be imported ({error})",
            fix=f"install it, add its folder to PYTHONPATH, or use `file.py:{what}`",
        ) from error


def _from_file(where: str, path: Path) -> ModuleType:
    name = f"kinemill_evaluate_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise BadInput(where, f"no file {path}", expected="a path relative to the task file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look the module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        message = f"cannot be imported ({type(error).__name__}: {error})"
        raise BadInput(where, message) from error
    return module
