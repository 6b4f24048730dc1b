"""Origins of settings: the task file, a preset, an override, or a default of the code."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kinemill.store import Json
from kinemill.task.component_file import read_task_file
from kinemill.task.loader import load_task, task_path
from kinemill.task.overrides import nested
from kinemill.task.presets import preset_overrides
from kinemill.task.settings import children, leaves
from kinemill.task.yaml import Location

DEFAULT = "default"


@dataclass(frozen=True)
class Setting:
    """One value of a task.

    Attributes:
        key: dotted key, as `--set` takes it.
        value: a scalar, or an empty list or mapping.
        origin: `file.yaml:12`, `--with part=preset`, `--set key` or `default`.
    """

    key: str
    value: object
    origin: str


def settings_with_origin(
    task: str, presets: Sequence[str], overrides: Mapping[str, object]
) -> list[Setting]:
    """Return every setting of a task with its origin, after presets and overrides.

    Raises:
        TaskError: The task or an override is wrong.
        BadInput: The task or a preset is unknown.
    """
    path = task_path(task)
    changes: Json = {**preset_overrides(list(presets), load_task(path)), **overrides}
    content = load_task(path, changes).model_dump(mode="json", by_alias=True)
    sources = [(f"--with {preset}", preset_overrides([preset])) for preset in presets]
    sources.append(("--set", dict(overrides)))
    changed = {
        key: f"{origin} {key}" if origin == "--set" else origin
        for origin, values in sources
        for key, _ in leaves(nested(values))
    }
    lines = {".".join(map(str, where)): line for where, line in read_task_file(path).lines.items()}
    return [
        Setting(
            key, value, _origin(key, changed, {k: f"{path.name}:{n}" for k, n in lines.items()})
        )
        for key, value in _scalars(content)
    ]


def _scalars(value: object, at: Location = ()) -> Iterator[tuple[str, object]]:
    """Yield the dotted key and the value of each scalar, and of each empty list or mapping."""
    items = children(value)
    if not items:
        yield ".".join(map(str, at)), value
    for key, part in items:
        yield from _scalars(part, (*at, key))


def _origin(key: str, changed: Mapping[str, str], lines: Mapping[str, str]) -> str:
    """Return the origin of a key, or of the list or mapping around it."""
    parts = key.split(".")
    for end in range(len(parts), 0, -1):
        above = ".".join(parts[:end])
        if above in changed:
            return changed[above]
    if key in lines:
        return lines[key]
    # An item in short form, such as `wrappers: [frame_stack]`, has a separate line.
    short = next((i for i, part in enumerate(parts) if part.isdecimal()), None)
    if short is not None and parts[-1] == "type":
        return lines.get(".".join(parts[: short + 1]), DEFAULT)
    return lines.get(".".join(parts[:-1]), DEFAULT) if parts[-1] == "type" else DEFAULT
