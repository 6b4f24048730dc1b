"""Presets: named settings of a task part, `<part>/<name>.yaml`.

Each is a file of overrides, one dotted key per line, spelled as in a task file. Presets are
applied in the given order, before single overrides. Those of the package can be used in every
project; a file in `presets/` of the project replaces the one of the same name.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.store import Json
from kinemill.store.project import project_root
from kinemill.task.document import Task
from kinemill.task.examples import PRESETS
from kinemill.task.settings import leaves
from kinemill.task.yaml import read_yaml


def presets_folders() -> list[Path]:
    """Return the folders of presets; later folders override earlier ones.

    They are those of the package and the project; `KINEMILL_PRESETS` replaces both.
    """
    if named := os.environ.get("KINEMILL_PRESETS"):
        return [Path(named).expanduser().resolve()]
    root = project_root()
    return [PRESETS, root / "presets"] if root else [PRESETS]


def list_presets() -> dict[str, dict[str, Path]]:
    """Return the presets by part and name, sorted."""
    files: dict[tuple[str, str], Path] = {}
    for folder in presets_folders():
        files |= {(path.parent.name, path.stem): path for path in folder.glob("*/*.yaml")}
    presets: dict[str, dict[str, Path]] = {}
    for (part, name), path in sorted(files.items()):
        presets.setdefault(part, {})[name] = path
    return presets


def preset_overrides(items: list[str], task: Task | None = None) -> Json:
    """Read `part=preset` arguments and return their overrides.

    Args:
        items: presets such as `model=small`.
        task: task that they must apply to; None: any.

    Raises:
        BadInput: The part or preset is unknown, the message holds the nearest name; or it does not
            apply to the task.
    """
    presets = list_presets()
    overrides = dict[str, object]()
    for item in items:
        part, equals, name = (text.strip() for text in item.partition("="))
        where = f"preset {item!r}"
        if not equals:
            raise BadInput(where, "is not part=preset", fix="as in --with model=small")
        if part not in presets:
            raise BadInput(where, f"no part {part!r}", fix=nearest(part, list(presets)))
        if name not in presets[part]:
            fix = nearest(name, list(presets[part]))
            raise BadInput(where, f"{part} has no preset {name!r}", fix=fix)
        content = read_yaml(presets[part][name]).value
        if not isinstance(content, dict):
            expected = "lines as learn.history: 12"
            raise BadInput(presets[part][name], "holds no overrides", expected=expected)
        changed = dict(leaves(content))
        if task is not None and (key := _foreign_key(task, changed)):
            raise BadInput(
                where,
                f"does not apply to {task.name}: {key} is no setting of a task with learn.type "
                f"{task.learn.type}",
                expected=f"one of {', '.join(applicable_presets(task))}",
            )
        overrides |= changed
    return overrides


def applicable_presets(task: Task) -> list[str]:
    """Return the presets, as `part=preset`, that change settings which a task has."""
    named = [f"{part}={name}" for part, names in list_presets().items() for name in names]
    return [item for item in named if not _foreign_key(task, preset_overrides([item]))]


def _foreign_key(task: Task, changed: Mapping[str, object]) -> str:
    """Return the first setting of another learn type or of a missing environment, or ""."""
    parts = {"learn": task.learn, "environment": task.environment}
    for key in changed:
        part, _, name = key.partition(".")
        name = name.partition(".")[0]
        creates = f"{part}.type" in changed
        if part in parts and not creates and not hasattr(parts[part], name):
            return f"{part}.{name}"
    return ""
