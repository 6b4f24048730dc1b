"""Files of a project: templates that come with the package, and Dagster's settings in a home.

This module imports no Dagster, so that commands which only write files start fast.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.store import aside_of, publish_file
from kinemill.store.home import Home
from kinemill.store.project import DEFS, TASKS, WORKSPACE, project_root
from kinemill.task.examples import example_task

SETTINGS = "dagster.yaml"
# `dagster dev` warns about a file in the folder where it starts, so projects have it in `deploy/`.
_PATHS = (f"deploy/{SETTINGS}", SETTINGS)


def packaged(name: str) -> Path:
    """Return a file of the package, such as the template of `dagster.yaml`."""
    return Path(str(files("kinemill_dagster"))) / name


def settings_file() -> Path:
    """Return `dagster.yaml` of the project, or of the package where the project has none."""
    root = project_root()
    return (root and _project_settings(root)) or packaged(SETTINGS)


def _project_settings(root: Path) -> Path | None:
    return next((root / path for path in _PATHS if (root / path).is_file()), None)


def place_settings(home: Home, source: Path) -> None:
    """Put `dagster.yaml` into Dagster's folder.

    In a home inside the project it is a relative link, so that changes of the project's file take
    effect at once. Any other home gets a copy.
    """
    target = home.dagster / SETTINGS
    parent = source.parent.resolve()
    root = parent.parent if parent.name == "deploy" else parent
    if not home.dagster.resolve().is_relative_to(root):
        publish_settings(home, source.read_bytes())
    elif not target.is_symlink() or target.resolve() != source.resolve():
        aside = aside_of(target)
        aside.symlink_to(os.path.relpath(parent / SETTINGS, home.dagster.resolve()))
        aside.rename(target)


def publish_settings(home: Home, content: bytes) -> None:
    """Write Dagster's settings unless they are the same; a link is replaced."""
    target = home.dagster / SETTINGS
    if target.is_symlink() or not target.is_file() or target.read_bytes() != content:
        publish_file(target, content)


_PYPROJECT = """\
# For `dg`, the command line of Dagster: dg check defs, dg list defs, dg dev
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "defs"
defs_module = "defs"
code_location_name = "kinemill"
code_location_target_module = "kinemill_dagster.pipelines.definitions"
"""
_GITIGNORE = """\
/var/
/.env
/tasks/.kinemill.schema.json
"""
_README = """\
# {name}

A kinemill project: robot logs in, verified models out.

| file or folder | content |
|---|---|
| `tasks/` | one YAML file per task: the robot, its logs, and what to learn |
| `defs/` | optional: Dagster components, `dg scaffold defs kinemill_dagster.KinemillTask NAME` |
| `presets/` | optional: named settings, `presets/PART/NAME.yaml`, for `--with PART=NAME` |
| `deploy/dagster.yaml`, `workspace.yaml` | settings of Dagster |
| `pyproject.toml` | settings of `dg` |
| `.env` | where Dagster keeps its data; `kinemill init .` writes it after `git clone` |
| `var/` | logs, models and databases; not in git |

```sh
kinemill new my_robot --from LOGS    # draft tasks/my_robot.yaml
kinemill run my_robot --logs LOGS    # train, verify, register
kinemill ui                          # Dagster and MLflow in the browser
```

`dagster dev`, `dagster definitions validate`, `dg check defs`, `dg list defs` and `dg dev` work in
this folder as well.
"""
_ENVIRONMENT = """\
# Written by kinemill init for this machine: dagster and dg read it in this folder.
DAGSTER_HOME='{dagster}'
KINEMILL_HOME='{home}'
"""
_WRITTEN = re.compile(
    re.escape(_ENVIRONMENT).replace(r"\{dagster\}", "(.*)").replace(r"\{home\}", ".*")
)


@dataclass(frozen=True)
class Scaffold:
    """Files that `make_project` created: paths relative to the project, and notes for the user."""

    root: Path
    created: list[str]
    notes: list[str]


def make_project(folder: Path, example: str | None = None) -> Scaffold:
    """Create a project, or the missing files of one. Existing files stay as they are.

    Raises:
        BadInput: The folder is a file or cannot be written, or the example is unknown.
    """
    root = folder.expanduser().resolve()
    home = Home.find(os.environ.get("KINEMILL_HOME") or root / "var")
    task = example_task(example) if example else None
    contents = {
        WORKSPACE: packaged(WORKSPACE).read_text(),
        **({} if _project_settings(root) else {_PATHS[0]: packaged(SETTINGS).read_text()}),
        "pyproject.toml": _PYPROJECT,
        ".gitignore": _GITIGNORE,
        "README.md": _README.format(name=root.name),
        ".env": _ENVIRONMENT.format(dagster=home.dagster, home=home.root),
    }
    if task:
        contents[f"{TASKS}/{task.name}"] = task.read_text()
    empty = [DEFS] if task else [TASKS, DEFS]
    # git keeps no empty folder
    contents |= {f"{name}/.gitkeep": "" for name in empty if not (root / name).is_dir()}
    try:
        created = [name for name, text in contents.items() if _add(root / name, text)]
        home.make()
        home.dagster.mkdir(exist_ok=True)
        place_settings(home, _project_settings(root) or packaged(SETTINGS))
    except FileExistsError as error:
        problem = f"cannot become a project: {error.filename} is a file"
        raise BadInput(root, problem, expected="a folder", fix="choose another one") from error
    except OSError as error:
        problem = f"no project can be created there: {error.strerror}"
        raise BadInput(root, problem, fix="choose another folder") from error
    return Scaffold(root, created, list(_notes(root, contents)))


def _add(path: Path, text: str) -> bool:
    """Write a file unless it exists; an own `.env` whose folder is gone is written again."""
    if path.exists() and not (path.name == ".env" and _is_outdated(path)):
        return False
    publish_file(path, text.encode())
    return True


def _is_outdated(environment: Path) -> bool:
    """Return whether `.env` is as `make_project` wrote it and the project has moved since."""
    match = _WRITTEN.fullmatch(environment.read_text(errors="replace"))
    return match is not None and not Path(match[1]).is_dir()


def _notes(root: Path, contents: dict[str, str]) -> Iterator[str]:
    """Yield what existing files lack."""
    if "[tool.dg]" not in (root / "pyproject.toml").read_text(errors="replace"):
        yield f"pyproject.toml was kept; dg needs these lines in it:\n{_PYPROJECT}"
    if "DAGSTER_HOME" not in (root / ".env").read_text(errors="replace"):
        yield f".env was kept; dagster and dg need these lines in it:\n{contents['.env']}"
    if "var/" not in (root / ".gitignore").read_text(errors="replace"):
        yield f".gitignore was kept; these lines keep data out of git:\n{_GITIGNORE}"
