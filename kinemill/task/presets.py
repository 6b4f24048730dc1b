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
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(presets_folder().glob("*/*.yaml")):
        found.setdefault(path.parent.name, {})[path.stem] = path
    return found


def preset_overrides(items: list[str]) -> dict[str, Any]:
    """Read `part=preset` arguments and return their overrides.

    Raises:
        BadInput: The part or preset is unknown; the message holds the nearest name.
    """
    known, overrides = list_presets(), dict[str, Any]()
    for item in items:
        part, equals, name = (one.strip() for one in item.partition("="))
        where = f"--with {item}"
        if not equals:
            raise BadInput(where, "is not part=preset", fix="as in --with model=small")
        if part not in known:
            raise BadInput(where, f"no part {part!r}", fix=nearest(part, list(known)))
        if name not in known[part]:
            fix = nearest(name, list(known[part]))
            raise BadInput(where, f"{part} has no preset {name!r}", fix=fix)
        found = read_yaml(known[part][name]).value
        if not isinstance(found, dict):
            expected = "lines as learn.history: 12"
            raise BadInput(known[part][name], "holds no overrides", expected=expected)
        overrides |= dict(leaves(found))
    return overrides


def leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested settings, `type` first: it defines the other keys.

    So a preset changes the keys that it names and leaves all others.
    """
    for key in sorted(value, key=lambda name: name != "type"):
        found = value[key]
        if isinstance(found, Mapping):
            # pyright: ignore[reportUnknownArgumentType]
            yield from leaves(found, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", found
