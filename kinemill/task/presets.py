"""Presets: named settings of a task part, `presets/<part>/<name>.yaml`.

Each is a file of overrides, one dotted key per line, spelled as in a task file. Presets are
applied in the given order, before single overrides.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.store.home import project_root
from kinemill.task.yaml import read_yaml


def presets_folder() -> Path:
    """Return the folder of presets: `KINEMILL_PRESETS`, or `presets/` of the project.

    Raises:
        BadInput: The folder does not exist.
    """
    named, root = os.environ.get("KINEMILL_PRESETS"), project_root()
    if named:
        return Path(named).expanduser().resolve()
    if root is None:
        raise BadInput("KINEMILL_PRESETS", "not set, and there is no checkout with presets/")
    return root / "presets"


def list_presets() -> dict[str, dict[str, Path]]:
    """Return the presets by part and name, sorted."""
    presets: dict[str, dict[str, Path]] = {}
    for path in sorted(presets_folder().glob("*/*.yaml")):
        presets.setdefault(path.parent.name, {})[path.stem] = path
    return presets


def preset_overrides(items: list[str]) -> dict[str, Any]:
    """Read `part=preset` arguments and return their overrides.

    Raises:
        BadInput: The part or preset is unknown; the message holds the nearest name.
    """
    presets, overrides = list_presets(), dict[str, Any]()
    for item in items:
        part, equals, name = (one.strip() for one in item.partition("="))
        where = f"--with {item}"
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
        overrides |= dict(leaves(content))
    return overrides


def leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested settings, `type` first: it defines the other keys.

    So a preset changes the keys that it names and leaves all others.
    """
    for key in sorted(value, key=lambda name: name != "type"):
        content = value[key]
        if isinstance(content, Mapping):
            # pyright: ignore[reportUnknownArgumentType]
            yield from leaves(content, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", content
