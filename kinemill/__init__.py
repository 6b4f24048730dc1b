"""kinemill: turn robot logs into verified, versioned dynamics models and policies.

`kinemill.load_task` reads a task file, `kinemill.run` does what `kinemill run` does, and
`kinemill.runtime.load` loads the exported model. Heavy dependencies are imported on first use.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


def load_task(name: str | Path, overrides: Mapping[str, object] | None = None) -> Any:
    """Read, override and check a task, given by name or path; see `kinemill.task.load_task`."""
    from kinemill.task import load_task as load

    return load(name, overrides)


def run(
    task: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    logs: str | Path | None = None,
    **objects: object,
) -> Any:
    """Run the pipeline of a task in this process; see `kinemill.cli.run_result.Run`.

    The result is the JSON document of `kinemill run` as a dict with `.model`, and for a policy
    with `.policy`, `.metrics` and `.rollout()`.

    Args:
        task: name of a task, or path of its file.
        overrides: dotted key to value, such as `{"learn.model.type": "mlp"}`.
        logs: folder with new logs; default: the task's drop folder.
        objects: Python objects for reinforcement learning instead of names: `environment`,
            `wrappers`, `model`, `callbacks`. Such a run exports the policy and registers nothing.
    """
    # Imported by name: stages import this package and must not import higher layers with it.
    run_result = importlib.import_module("kinemill.cli.run_result")
    if objects:
        options: dict[str, Any] = dict(objects)
        return run_result.run_with_objects(task, dict(overrides or {}), **options)
    project = importlib.import_module("kinemill.cli.project").project
    folder = Path(logs).resolve() if logs is not None else None
    result = project("pipelines.run").run_chain(str(task), dict(overrides or {}), logs=folder)
    return run_result.of_chain(result, load_task(task, overrides))
