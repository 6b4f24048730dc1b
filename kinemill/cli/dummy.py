"""`kinemill run --dummy`: run the pipeline on synthetic logs, in a separate home."""

import json
import os
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from kinemill.cli.output import notify
from kinemill.control.sim import Dummy, dummy_overrides, dummy_task, write_dummy_logs
from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.store import Home, digest, publish_file
from kinemill.task import Task, list_tasks, load_task, parse_overrides


def prepare(task: str, settings: list[str]) -> tuple[str, Path, list[str]]:
    """Write synthetic logs of a task; return the task, their folder and the run's overrides.

    Afterwards this process and its children use `dummy/` in the home as their home. `task` is a
    name or path; with `states=N` in the settings also the name of a new task.

    Raises:
        BadInput: A setting is unknown, or dimensions are set for an existing task.
    """
    dummy = _read(settings)
    home = Home(Home.resolve().root / "dummy")
    if dummy.states is not None:
        task = _write_task(task, dummy, home)
    loaded = load_task(task)
    pictures = _differing_images(loaded, dummy)
    os.environ["KINEMILL_HOME"] = str(home.root)
    # A folder per settings and task: other logs must not mix with this run.
    inputs = loaded.part("dt", "channels", "validate", "learn", "verify")
    below = f"{digest([dummy.model_dump(mode='json'), inputs])[:12]}/"
    folder = home.logs(loaded.name)
    write_dummy_logs(loaded, folder / below, dummy)
    overrides = dummy_overrides(loaded, dummy, below)
    if pictures:
        notify(f"no trials: the environment of {loaded.name} gives {pictures}")
        overrides["environment"] = None
    return task, folder, [f"{key}={json.dumps(value)}" for key, value in overrides.items()]


def _differing_images(task: Task, dummy: Dummy) -> str:
    """Return the images whose size in the environment differs from the logs, as text."""
    if dummy.image is None or task.environment is None or task.learn.type != "imitation":
        return ""
    from kinemill.policies.environments import layout_of, make_environment

    with closing(make_environment(task)) as environment:
        images = layout_of(task, environment).images
    return ", ".join(
        f"{name} in {height} x {width} pixels"
        for name, (height, width, _) in images.items()
        if (height, width) != dummy.image
    )


def _read(settings: list[str]) -> Dummy:

    values = parse_overrides(settings)
    fields = list(Dummy.model_fields)
    if unknown := [key for key in values if key not in fields]:
        raise BadInput(f"--dummy-set {unknown[0]}", "unknown", fix=nearest(unknown[0], fields))
    try:
        return Dummy.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"--dummy-set {first['loc'][0]}"
        raise BadInput(where, f"{first['msg']}; found {first['input']!r}") from error


def _write_task(name: str, dummy: Dummy, home: Home) -> str:
    """Write the task file of a robot with these dimensions; return its path."""
    if name in list_tasks() or "/" in name:
        raise BadInput(
            f"--dummy-set states={dummy.states}",
            f"{name!r} already has channels",
            fix="leave `states` and `actions` out, or use a new name",
        )
    path = home.root / "tasks" / f"{name}.yaml"
    publish_file(path, dummy_task(name, dummy).encode())
    return str(path)
