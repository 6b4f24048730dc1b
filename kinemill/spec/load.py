"""From a task file and overrides to a checked `Task`, with errors that name file, line and key."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from kinemill.errors import BadInput, TaskError
from kinemill.home import project_root
from kinemill.registry import nearest
from kinemill.spec.channels import problems_between
from kinemill.spec.plugins import AUGMENTATIONS, MODELS, OBJECTIVES, Settings
from kinemill.spec.task import Task, validate_settings
from kinemill.spec.yaml import Document, Location, read_yaml, scalar


def tasks_folder() -> Path:
    """Return the folder of task files: `KINEMILL_TASKS`, or `tasks/` of the project."""
    named, root = os.environ.get("KINEMILL_TASKS"), project_root()
    if named:
        return Path(named).expanduser().resolve()
    if root is None:
        raise BadInput("KINEMILL_TASKS", "not set, and there is no checkout with tasks/")
    return root / "tasks"


def list_tasks() -> dict[str, Path]:
    """Return the task files by name, sorted."""
    return {path.stem: path for path in sorted(tasks_folder().glob("*.yaml"))}


def task_path(name: str) -> Path:
    """Return the file of a task given by name or by path.

    Raises:
        BadInput: there is none; the message holds the nearest name.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return Path(name)
    known = list_tasks()
    if name not in known:
        raise BadInput(f"task {name!r}", "unknown", fix=nearest(name, list(known)))
    return known[name]


def load_task(name: str | Path, overrides: Mapping[str, Any] | None = None) -> Task:
    """Read, override and check a task.

    Args:
        name: name of a task in the tasks folder, or a path.
        overrides: dotted key to value, such as `{"learn.model.type": "mlp"}`.

    Raises:
        TaskError: every problem found, each with file, line, key and nearest valid name.
    """
    path = task_path(str(name))
    document = read_yaml(path)
    if not isinstance(document.value, dict):
        raise TaskError([f"{path}: holds no task; expected keys such as `task`, `dt`, `channels`"])
    value = copy.deepcopy(document.value)
    for key, new in (overrides or {}).items():
        override(value, key, new)
    return check_task(document, value, dict(overrides or {}))


def check_task(document: Document, value: Any, overrides: Mapping[str, Any]) -> Task:
    """Check `value`, the content of `document` after `overrides`, and return it as a task."""
    try:
        task = Task.model_validate(value)
    except ValidationError as error:
        raise TaskError(
            [
                _line(document, overrides, *_problem(item["loc"], item, value))
                for item in error.errors(include_url=False)
            ]
        ) from error
    problems = _problems(task)
    if task.name != document.path.stem:
        problems.append((("task",), f"{task.name!r} is in a file called {document.path.name}"))
    if problems:
        raise TaskError([_line(document, overrides, where, what) for where, what in problems])
    task._path = document.path.resolve()  # pyright: ignore[reportPrivateUsage]
    return task


def _problems(task: Task) -> list[tuple[Location, str]]:
    """Collect what plug-ins and channels find wrong with each other."""
    parts: list[tuple[Location, Settings]] = [(("learn",), task.learn)]
    parts += [(("augment", index), item) for index, item in enumerate(task.augment)]
    checks = ((name, getattr(task.validation, name)) for name in type(task.validation).model_fields)
    parts += [(("validate", name), item) for name, item in checks if isinstance(item, Settings)]
    found: list[tuple[Location, str]] = list(problems_between(task.channels))
    for where, part in parts:
        found += [((*where, *inner), what) for inner, what in part.problems(task.channels)]
    return found


def _line(document: Document, overrides: Mapping[str, Any], where: Location, what: str) -> str:
    key = ".".join(str(part) for part in where)
    if any(key == name or key.startswith(f"{name}.") for name in overrides):
        return f"--set {key}: {what}"
    return f"{document.path}:{document.line(where)}: {key}: {what}"


def _problem(loc: Location, item: Any, value: Any) -> tuple[Location, str]:
    """Turn one pydantic error into (where, message), with the nearest name for unknown keys."""
    loc = _real_location(loc, value)
    if item["type"] == "extra_forbidden":
        known = _known_keys(loc[:-1], value)
        return loc, f"unknown key; {nearest(str(loc[-1]), known)}"
    if item["type"] == "missing":
        return loc, "is missing"
    if item["type"] == "literal_error":
        found, choices = str(item["input"]), item["ctx"]["expected"]
        names = [part.strip(" '") for part in choices.replace(" or ", ",").split(",")]
        return loc, f"found {found!r}; expected {choices}; {nearest(found, names)}"
    message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    found = "" if isinstance(item["input"], dict | list) else f"; found {item['input']!r}"
    return loc, f"{message}{found}"


def _real_location(loc: Location, value: Any) -> Location:
    """Drop the parts of pydantic's location that name alternatives of a union, not keys."""
    real: list[str | int] = []
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if isinstance(value, dict):
            if part in value:
                value = value[part]
            elif not last:
                continue
            real.append(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
            real.append(part)
    return tuple(real)


_PLUGINS = {"learn": OBJECTIVES, "model": MODELS, "augment": AUGMENTATIONS}


def _known_keys(loc: Location, value: Any) -> list[str]:
    """Return the keys that are valid at `loc`, following plug-ins by their `type`."""
    model: Any = Task
    for depth, part in enumerate(loc):
        value = value[part]
        named = loc[depth - 1] if isinstance(part, int) else part
        if part == "validate":
            model = validate_settings()
        elif named in _PLUGINS and isinstance(value, dict):
            model = _PLUGINS[str(named)][value["type"]]
        else:
            model = _field_model(model, str(part))
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _field_model(model: Any, key: str) -> Any:
    """Return the settings class behind field `key` of `model`, or the class of its values."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return model
    field = model.model_fields.get(key)
    return _settings_class(field.annotation) if field else None


def _settings_class(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _settings_class(inner):
            return found
    return None


def parse_overrides(items: list[str]) -> dict[str, Any]:
    """Read `key=value` arguments; values are spelled as in a task file.

    Raises:
        BadInput: an item without `=`.
    """
    overrides: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise BadInput(f"--set {item}", "is not key=value", fix="as in --set learn.history=12")
        overrides[key.strip()] = scalar(text)
    return overrides


def override(value: dict[str, Any], key: str, new: Any) -> list[str]:
    """Set dotted `key` in `value`, in place.

    A changed `type` drops the keys that the new type lacks; they are returned.

    Raises:
        BadInput: the path leads through something that is not a mapping.
    """
    *folders, last = key.split(".")
    inner: Any = value
    for depth, name in enumerate(folders):
        inner = _enter(inner, name, ".".join(folders[: depth + 1]))
    if isinstance(inner, list):
        inner[_index(inner, last, key)] = new
        return []
    dropped: list[str] = []
    if last == "type" and inner.get("type") != new:
        dropped = _drop_foreign_keys(inner, folders[-1] if folders else "", new)
    inner[last] = new
    return dropped


def _enter(inner: Any, name: str, so_far: str) -> Any:
    if isinstance(inner, list):
        return inner[_index(inner, name, so_far)]
    found = inner.setdefault(name, {})
    if not isinstance(found, dict | list):
        raise BadInput(f"--set {so_far}", f"is {found!r}, which has no keys")
    return found


def _index(items: list[Any], name: str, key: str) -> int:
    if not name.isdigit() or int(name) >= len(items):
        raise BadInput(f"--set {key}", f"no item {name!r}", expected=f"0 to {len(items) - 1}")
    return int(name)


def _drop_foreign_keys(inner: dict[str, Any], part: str, new: Any) -> list[str]:
    family = _PLUGINS.get(part)
    if family is None or new not in family:
        return []
    keep = set(family[str(new)].model_fields)
    dropped = [name for name in inner if name not in keep]
    for name in dropped:
        del inner[name]
    return dropped
