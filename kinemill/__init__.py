"""From robot logs to verified, versioned simulators: the library behind the `kinemill` command.

`kinemill.load_task` reads a task file, `kinemill.run` does what `kinemill run` does, and
`kinemill.runtime.load` runs what came out. Nothing heavy is imported before it is used.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load_task(name: str | Path, overrides: Mapping[str, Any] | None = None) -> Any:
    """Read, override and check a task, given by name or path; see `kinemill.spec.load_task`."""
    from kinemill.spec import load_task as load

    return load(name, overrides)


def run(
    task: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    logs: str | Path | None = None,
) -> dict[str, Any]:
    """Run the whole chain of a task in this process and return the document of `kinemill run`.

    Args:
        task: name of a task, or path of its file.
        overrides: dotted key to value, such as `{"learn.model.type": "mlp"}`.
        logs: folder with new logs; default: the task's drop folder.
    """
    # By name, since stages import this package and may not thereby import what lies above them.
    project = importlib.import_module("kinemill.cli.project").project
    folder = Path(logs).resolve() if logs is not None else None
    return project("pipelines.run").run_chain(str(task), dict(overrides or {}), logs=folder)
