"""Assets, jobs and sensors of every task of the project.

An invalid task file becomes an asset that shows the errors; the other tasks load normally.
Components of other types in `defs/` are loaded too.
"""

import sys
from pathlib import Path
from types import ModuleType

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.store.project import DEFS, project_root
from kinemill.task import Task, list_tasks, load_task
from kinemill.task.component_file import component_tasks
from kinemill_dagster.pipelines.chain import broken_task, definitions_of

_log = dg.get_dagster_logger("kinemill")


def build() -> dg.Definitions:
    """Read the task files and `defs/` of the project; return the definitions of all tasks."""
    root = project_root()
    components = set(component_tasks(root)) if root else set[str]()
    tasks: dict[str, Task] = {}
    assets: list[dg.AssetsDefinition] = []
    for name, path in list_tasks().items():
        try:
            tasks[name] = load_task(path)
        except KinemillError as error:
            _log.warning("%s", error)
            if name not in components:
                assets.append(broken_task(path, error))
    from_files = [task for name, task in tasks.items() if name not in components]
    from_components = [task for name, task in tasks.items() if name in components]
    made = definitions_of(from_files, assets, components=from_components)
    is_used = root and any(path.suffix in {".py", ".yaml"} for path in (root / DEFS).rglob("*"))
    return dg.Definitions.merge(made, _load_components(root)) if root and is_used else made


def _load_components(root: Path) -> dg.Definitions:
    """Return the definitions of the components in `defs/` of a project."""
    module = ModuleType(DEFS)
    # Of this project: an import could find `defs` of another folder on the path.
    module.__path__, module.__file__ = [str(root / DEFS)], str(root / DEFS / "__init__.py")
    sys.modules[DEFS] = module
    return dg.ComponentTree.from_module(module, project_root=root).build_defs()
