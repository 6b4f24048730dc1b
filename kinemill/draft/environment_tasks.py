"""Tasks without a task file: `gym:ID` is the task drafted from an environment.

The draft is a file of the home, written when the address is first used. A task file of the project
with the same name takes its place.
"""

import re
from pathlib import Path

from kinemill.draft.reinforcement import build_reinforcement
from kinemill.errors import BadInput
from kinemill.store import publish_file
from kinemill.store.home import Home
from kinemill.task.loader import list_tasks

PREFIX = "gym:"


def drafted_task(address: str, home: Home) -> Path:
    """Return the task file of an environment, drafted on its first use.

    Args:
        address: `gym:` and what `kinemill new --env` takes: a Gymnasium id, an MJCF file, or
            `file.py:Class`.
        home: home that stores the draft.

    Raises:
        BadInput: The environment cannot be made, or no policy can learn in it.
    """
    environment = address.removeprefix(PREFIX)
    name = task_name_of(environment)
    if (project_file := _project_file(name)) is not None:
        return project_file
    path = home.task_file(name).with_suffix(".d") / f"{name}.yaml"
    title = f"# {PREFIX}{environment}\n"
    if path.is_file() and path.read_text(encoding="utf-8").startswith(title):
        return path
    checked = build_reinforcement(name, environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    publish_file(path, f"{title}{checked.text}".encode())
    return path


def task_name_of(environment: str) -> str:
    """Return the name of the task of an environment: `cart_pole_v1` of `CartPole-v1`."""
    last = re.split(r"[/:]", environment)[-1]
    last = last.removesuffix(".xml").removesuffix(".mjcf")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _project_file(name: str) -> Path | None:
    try:
        return list_tasks().get(name)
    except BadInput:  # there is no project
        return None
