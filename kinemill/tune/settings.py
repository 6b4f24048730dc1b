"""Settings of a trial as overrides of its task, complete, so that they mean the same anywhere."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput
from kinemill.store import Json, publish_file
from kinemill.task import Task
from kinemill.tune.search import Search


def complete(search: Search, proposal: Mapping[str, Any]) -> tuple[Task, Json]:
    """Return the task of a trial, and the overrides that make it, every key of a plug-in named.

    A chosen plug-in takes the place of the task's own, whereas overrides one by one would leave its
    other keys as they are; so all of them are given.

    Raises:
        TaskError: the settings do not go together.
        BadInput: the task's own value would shine through.
    """
    proposed = search.task(proposal)
    dumped = proposed.model_dump(mode="json", by_alias=True)
    settings: Json = {}
    for key in proposal:
        value: Any = dumped
        for name in key.split("."):
            value = value[int(name)] if isinstance(value, list) else value[name]
        settings |= flat(value, key)
    task = search.task(settings)
    if task.part("learn", "augment") != proposed.part("learn", "augment"):
        raise BadInput(
            f"tune.space of {proposed.name}",
            f"{', '.join(proposal)} would be mixed with the task's own",
            fix="choose values instead of mappings",
        )
    return task, settings


def flat(value: Any, key: str) -> Json:
    """Return nested settings as dotted keys, `type` first: it decides what the others mean."""
    if not isinstance(value, dict) or not value:
        return {key: value}
    settings: Json = {}
    for name in sorted(value, key=lambda one: one != "type"):
        settings |= flat(value[name], f"{key}.{name}")
    return settings


def write_settings(path: Path, settings: Mapping[str, Any], about: list[str]) -> None:
    """Write settings as a file that `kinemill run --set @FILE` reads; `about` goes before them."""
    lines = [f"# {line}" for line in about]
    lines += [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in settings.items()]
    publish_file(path, ("\n".join(lines) + "\n").encode())
