"""From robot logs to verified, versioned simulators: the library behind the `kinemill` command.

`kinemill.load_task` reads a task file, `kinemill.run` does what `kinemill run` does, and
`kinemill.runtime.load` runs what came out. Nothing heavy is imported before it is used.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load_task(name: str | Path, overrides: Mapping[str, Any] | None = None) -> Any:
    """Read, override and check a task, given by name or path; see `kinemill.task.load_task`."""
    from kinemill.task import load_task as load

    return load(name, overrides)


def run(
    task: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    logs: str | Path | None = None,
    **objects: Any,
) -> Any:
    """Run the whole chain of a task in this process; see `kinemill.cli.run_result.Run`.

    What comes back is the document of `kinemill run`, a dict, with `.model`, and of a policy with
    `.policy`, `.metrics` and `.rollout()`.

    Args:
        task: name of a task, or path of its file.
        overrides: dotted key to value, such as `{"learn.model.type": "mlp"}`.
        logs: folder with new logs; default: the task's drop folder.
        objects: of reinforcement, in the place of names: `environment`, `wrappers`, `model`,
            `callbacks`. Such a run ends with the exported policy and registers nothing.
    """
    # By name, since stages import this package and may not thereby import what lies above them.
    returned = importlib.import_module("kinemill.cli.run_result")
    if objects:
        return returned.run_with_objects(task, dict(overrides or {}), **objects)
    project = importlib.import_module("kinemill.cli.project").project
    folder = Path(logs).resolve() if logs is not None else None
    found = project("pipelines.run").run_chain(str(task), dict(overrides or {}), logs=folder)
    return returned.of_chain(found, load_task(task, overrides))
