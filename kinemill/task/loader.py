"""Load a task file with overrides as a validated `Task`; errors have file, line and key.

`make_task` validates a mapping or settings objects in the same way.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from kinemill.errors import BadInput, TaskError
from kinemill.registry import nearest
from kinemill.store import Home, Json, publish_file, publish_json, read_json
from kinemill.store.project import DEFS, project_root, tasks_folder
from kinemill.task.channels import Channel, problems_between
from kinemill.task.component_file import component_tasks, name_of, place_of, read_task_file
from kinemill.task.computed import computed_problems
from kinemill.task.document import Task
from kinemill.task.examples import example_tasks
from kinemill.task.overrides import apply, nested
from kinemill.task.problems import problems_of, spell_problem
from kinemill.task.search import Problem, wrong_choices
from kinemill.task.settings import Problems, Settings, children, leaves
from kinemill.task.web_overrides import Context, Value, marked_values
from kinemill.task.yaml import Document, Location, dump_yaml


def list_tasks() -> dict[str, Path]:
    """Return the task files of the tasks folder and of components by name, sorted.

    Of a name in two files it is the one of the tasks folder; `task_path` refuses that name.

    Raises:
        BadInput: There is no project.
    """
    root = project_root()
    tasks = {path.stem: path for path in tasks_folder().glob("*.yaml")}
    components = component_tasks(root) if root else {}
    same = {name for name, path in tasks.items() if components.get(name) == path.resolve()}
    tasks = {name: path for name, path in tasks.items() if name not in same}
    return dict(sorted((components | tasks).items()))


def task_path(name: str) -> Path:
    """Return the file of a task given by name or by path.

    Raises:
        BadInput: The task is unknown, or in two files of the project; the message holds the nearest
            name.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        _check_single(Path(name))
        return Path(name)
    path = _run_from(name) if _listed(name) is None else None
    if path is None:
        return named_task(name)
    if not path.is_file():
        problem = f"was last run from {path}, which no longer exists"
        raise BadInput(f"task {name!r}", problem, fix="use the path of its task file")
    return path


def _check_single(path: Path) -> None:
    """Check that no other file of the project defines a task of the same name."""
    root = project_root()
    name = name_of(path)
    if root is None or not (root / DEFS / name).is_dir():
        return
    component = component_tasks(root).get(name)
    listed = tasks_folder() / f"{name}.yaml"
    if component is None or not listed.is_file() or component == listed.resolve():
        return
    if path.resolve() in (component, listed.resolve()):
        raise BadInput(
            f"task {name!r}",
            f"is in two files: {listed} and {component}",
            expected="one file for a name",
            fix="rename one of the two tasks, or move its file out of the project",
        )


def remember_task(home: Home, task: Task) -> None:
    """Record the file of a task outside of the tasks folder, so that its name is enough later.

    A task without a file is written to the home, unless the tasks folder has one with its name.
    """
    path = task.path or (write_task(home, task) if _listed(task.name) is None else None)
    if path is not None and _listed(task.name) != path:
        note = home.task_file(task.name)
        note.parent.mkdir(parents=True, exist_ok=True)
        publish_json(note, {"path": str(path)})


def write_task(home: Home, task: Task) -> Path:
    """Write a task to a file of the home, and return it."""
    path = home.task_file(task.name).with_suffix(".d") / f"{task.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = task.model_dump(mode="json", by_alias=True)
    publish_file(path, dump_yaml(content).encode())
    return path


def _listed(name: str) -> Path | None:
    """Return the file of a task in the tasks folder, or None."""
    try:
        path = list_tasks().get(name)
    except BadInput:
        return None
    return path and path.resolve()


def _run_from(name: str) -> Path | None:
    """Return the file from which a task was last run by path, or None."""
    try:
        record = Home.find().task_file(name)
    except BadInput:
        return None
    return Path(read_json(record)["path"]) if record.is_file() else None


def load_task(
    name: str | Path, overrides: Mapping[str, object] | None = None, *, web: bool = False
) -> Task:
    """Read a task, apply overrides, and validate it; every command uses this function.

    Args:
        name: name of a task in the tasks folder, or a path.
        overrides: same structure as the task file, with optional dotted keys such as
            `learn.model.type`. Mappings merge key by key; other values replace.
        web: whether the overrides come from a web request: they cannot set code, files or machines.

    Raises:
        TaskError: Every problem found, each with file, line, key and nearest valid name.
    """
    path = task_path(str(name))
    document = read_task_file(path)
    if not isinstance(document.value, dict):
        raise TaskError([f"{path}: is not a task; expected keys such as `task`, `dt`, `channels`"])
    context = Context(path.resolve().parent, _own_values(document) if web else None)
    return _with_overrides(document, copy.deepcopy(document.value), overrides, context)


def make_task(
    value: Mapping[str, object], overrides: Mapping[str, object] | None = None, *, web: bool = False
) -> Task:
    """Validate a mapping with the keys of a task file, and return it as a task.

    Args:
        value: content as in a task file; parts can be settings objects such as `Channel`.
        overrides: as in `load_task`.
        web: whether the mapping comes from a web request: it cannot set code, files or machines.

    Raises:
        TaskError: Every problem found, each with its key and the nearest valid name.
    """
    plain: Json = {key: _plain(part) for key, part in value.items()}
    document = Document(None, plain, dict.fromkeys(_locations(plain), 0))
    context = Context(Path.cwd(), frozenset[Value]() if web else None)
    return _with_overrides(document, plain, overrides, context)


def _with_overrides(
    document: Document, value: Json, overrides: Mapping[str, object] | None, context: Context
) -> Task:
    """Validate the content of a document after overrides, with a note for each dropped key."""
    notes = list[str]()
    changes = nested(overrides or {}, notes)
    notes += apply(value, changes)
    task = check_task(document, value, changes, context)
    task._notes += dict.fromkeys(notes)  # pyright: ignore[reportPrivateUsage]
    return task


def _locations(value: object, at: Location = ()) -> Iterator[Location]:
    """Yield the location of every key and item of a value."""
    for key, part in children(value):
        yield (*at, key)
        yield from _locations(part, (*at, key))


def _plain(value: object) -> object:
    """Replace settings objects by the mappings of a task file."""
    if isinstance(value, BaseModel):
        names = {*value.model_fields_set, *({"type"} & type(value).model_fields.keys())}
        fields = {name: info for name, info in type(value).model_fields.items() if name in names}
        return {info.alias or name: _plain(getattr(value, name)) for name, info in fields.items()}
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): _plain(part) for key, part in items}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in cast("Sequence[object]", value)]
    return value


def task_name(name: str) -> str:
    """Return the name of a task, given by name or path, without validation of its settings.

    Validation imports every plug-in family, which commands that only read results do not need.

    Raises:
        BadInput: The task is unknown.
        TaskError: The file does not hold a task of that name.
    """
    path = task_path(name)
    value = read_task_file(path).value
    if isinstance(value, dict) and value.get("task") == name_of(path):
        return name_of(path)
    return load_task(name).name


def recorded_task(
    value: Mapping[str, object], path: Path | None, overrides: Mapping[str, object], where: object
) -> Task:
    """Validate a recorded task with all its keys, after overrides.

    Args:
        value: the task with all its keys, result of `model_dump`.
        path: the task file; relative paths start at its folder.
        overrides: dotted key to value.
        where: name of the recorded task in errors.

    Raises:
        TaskError: Every problem found.
    """
    changed: Json = copy.deepcopy(dict(value))
    apply(changed, nested(overrides))
    task, problems = _parse(changed, Context(path.resolve().parent if path else Path.cwd()))
    if task is None or problems:
        raise TaskError([f"{where}: {'.'.join(map(str, at))}: {what}" for at, what in problems])
    task._path = path  # pyright: ignore[reportPrivateUsage]
    return task


def named_task(name: str) -> Path:
    """Return the file of a task of a web request: a name in the tasks folder, never a path.

    Raises:
        BadInput: The name is unknown.
    """
    tasks = list_tasks()
    if name in tasks:
        _check_single(tasks[name])
        return tasks[name]
    other_suffix = tasks_folder() / f"{name}.yml"
    if other_suffix.is_file():
        problem = f"is in {other_suffix}, which is not read"
        raise BadInput(f"task {name!r}", problem, fix=f"rename the file to {name}.yaml")
    copy = f"kinemill examples copy {name} copies the example of that name"
    fix = copy if name in example_tasks() else nearest(name, list(tasks))
    raise BadInput(f"task {name!r}", "unknown", fix=fix)


def check_task(
    document: Document, value: object, changes: Json, context: Context | None = None
) -> Task:
    """Validate `value`, the content of `document` after `changes`, and return it as a task."""
    path = document.path and document.path.resolve()
    context = context or Context(path.parent if path else Path.cwd())
    task, problems = _parse(value, context)
    if task and path and task.name != name_of(path):
        problems.append((("task",), f"{task.name!r} is in {place_of(path)}"))
    if task and not problems:
        errors = wrong_choices(
            task.tune.space, lambda choices: _problems_under(choices, value, context)
        )
        problems = [(("tune", "space", *where), what) for where, what in errors]
    if task is None or problems:
        overrides = dict(leaves(changes))
        lines = [spell_problem(document, overrides, where, what) for where, what in problems]
        raise TaskError(lines, [(".".join(map(str, where)), what) for where, what in problems])
    task._path = path  # pyright: ignore[reportPrivateUsage]
    return task


def _own_values(document: Document) -> frozenset[Value]:
    """Return the values of marked fields in a task file, as written and as parsed.

    Raises:
        TaskError: The file without overrides is not a valid task.
    """
    context = Context(document.path.resolve().parent if document.path else Path.cwd())
    task = check_task(document, copy.deepcopy(document.value), {}, context)
    return frozenset({*context.validated, *marked_values(task)})


def _parse(value: object, context: Context) -> tuple[Task | None, list[Problem]]:
    """Parse `value` as a task; return the task or None, and its problems."""
    try:
        task = Task.model_validate(value, context=context.values())
    except ValidationError as error:
        return None, problems_of(error, value)
    return task, [*_not_finite(value), *_problems(task)]


def _not_finite(value: object, at: Location = ()) -> Iterator[Problem]:
    """Yield the numbers that are not finite, including keys that accept any value."""
    if isinstance(value, float) and not math.isfinite(value):
        yield at, f"found {value}; expected a finite number"
    for key, item in children(value):
        yield from _not_finite(item, (*at, key))


def _problems_under(settings: Mapping[str, object], value: Any, context: Context) -> list[Problem]:
    """Return the problems of a task with settings that a search can choose."""
    changed = {key: part for key, part in copy.deepcopy(value).items() if key != "tune"}
    for key in settings:
        if text := _scalar_above(changed, key):
            choices = "a value, {select: [...]} or {range: [low, high]}"
            return [(tuple(key.split(".")), f"{text}, which has no keys; expected {choices} there")]
    try:
        apply(changed, nested(settings))
    except BadInput as error:
        where = error.where.removeprefix("--set ")
        return [(tuple(where.split(".")), f"{error.problem}; expected {error.expected}")]
    return _parse(changed, context)[1]


def _scalar_above(value: object, key: str) -> str | None:
    """Return a description of the scalar above a dotted key, or None."""
    for name in key.split(".")[:-1]:
        value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, int | float | str):
            return f"{name} is {value!r}"
    return None


_PARTS = ("ingest", "dataset", "tune", "control", "loop", "export", "verify", "environment")


def _problems(task: Task) -> Problems:
    """Return the problems that involve plug-ins and channels together."""
    policy = task.learn.gives == "policy"
    # Checks use states and actions only; dynamics models also predict outputs.
    columns = {name: task.channels[name] for name in task.columns}
    with_outputs = columns | {name: task.channels[name] for name in task.outputs}
    parts: list[tuple[Location, object, Mapping[str, Channel]]] = [
        *(((name,), getattr(task, name), task.channels) for name in _PARTS),
        *((("augment", index), item, task.channels) for index, item in enumerate(task.augment)),
        (("learn",), task.learn, task.channels if policy else with_outputs),
        (("promote",), task.promote, columns),
    ]
    checks = [((name,), item) for name, item in children(task.validation)]
    checks += [(("expectations", i), e) for i, e in enumerate(task.validation.expectations)]
    parts += [(("validate", *where), item, columns) for where, item in checks]
    errors = problems_between(task.channels) + computed_problems(task.channels)
    if task.learn.from_logs and not task.channels:
        errors.append((("channels",), "is missing or empty"))
    if not task.learn.from_logs and task.environment is None:
        errors.append((("environment",), f"is missing; {task.learn.type} needs one"))
    if task.loop is not None and (policy or task.control is None):
        what = "needs a `control` part, and `learn.type: dynamics`"
        errors.append((("loop",), what))
    if task.control is not None and not task.control.success:
        looped = task.control.plant is not None and task.verify.closed_loop > 0
        least = {
            ("loop", "target"): task.loop.target if task.loop else None,
            ("promote", "min_success"): task.promote.min_success if looped else None,
        }
        what = "needs `control.success`: what a successful episode reaches"
        errors += [(where, what) for where, share in least.items() if share is not None]
    unfit = task.promote.unfit(
        policy=policy, environment=task.environment is not None, horizon=task.verify.horizon
    )
    errors += [(("promote", *where), what) for where, what in unfit]
    errors += [(("export", *where), what) for where, what in task.export.unfit() if policy]
    for where, part, channels in parts:
        if isinstance(part, Settings):
            errors += [((*where, *inner), what) for inner, what in part.problems(channels)]
    return errors
