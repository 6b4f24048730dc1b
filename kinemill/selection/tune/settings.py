"""Settings of a trial as complete overrides of its task."""

import json
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput
from kinemill.selection.tune.search import Search
from kinemill.store import Json, publish_file
from kinemill.task import Task
from kinemill.task.portfolio import BUDGET
from kinemill.task.settings import leaves


def complete(search: Search, proposal: Json) -> tuple[Task, Json]:
    """Return the task of a trial and its overrides, with every key of each plug-in.

    A proposed plug-in replaces the task's. All its keys are overridden, because single overrides
    would keep other keys of the task's plug-in.

    Raises:
        TaskError: The settings are invalid together.
        BadInput: A value of the task would be mixed with the proposed values.
    """
    learn: Any = search.task().learn
    has_budget = getattr(learn, "budget", BUDGET) != BUDGET
    keys = [name for key, value in proposal.items() for name, _ in leaves(value, key)]
    if has_budget and any(name.startswith("learn.model") for name in keys):
        proposal = {**proposal, "learn.budget": BUDGET}  # without a meaning if a model is set
    proposed = search.task(proposal)
    dumped = proposed.model_dump(mode="json", by_alias=True)
    settings: Json = {}
    for key in proposal:
        value: Any = dumped
        for name in key.split("."):
            value = value[int(name)] if isinstance(value, list) else value[name]
        settings |= leaves(value, key)
    task = search.task(settings)
    if task.part("learn", "augment") != proposed.part("learn", "augment"):
        raise BadInput(
            f"tune.space of {proposed.name}",
            f"{', '.join(proposal)} would be mixed with the task's values",
            fix="use values instead of mappings",
        )
    return task, settings


def write_settings(path: Path, settings: Json, about: list[str]) -> None:
    """Write settings as a file for `kinemill run --set @FILE`, after the comment lines `about`."""
    lines = [f"# {line}" for line in about]
    lines += [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in settings.items()]
    publish_file(path, ("\n".join(lines) + "\n").encode())
