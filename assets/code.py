"""Code version of an asset, and references to its code and its task file."""

import ast
import importlib
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

import kinemill
from kinemill.store.project import project_root, require_project
from kinemill.task import Task

_VERSION = "VERSION"
_SUBMODULES = {"references": "selection.references.stage"}
_CARD = "policies.environments.card"  # instead of a dataset, for tasks without logs


def code_version(task: Task, stage: str) -> str:
    """Return the version of a stage's results; a change makes assets stale in Dagster."""
    module = _SUBMODULES.get(stage, f"{stage}.stage")
    if stage == "dataset" and not task.learn.from_logs:
        module = _CARD
    return str(_version_of(module))


@cache
def _version_of(module: str) -> int:
    """Return VERSION of a module of `kinemill` from its source, without importing torch."""
    path = Path(kinemill.__path__[0]).joinpath(*module.split(".")).with_suffix(".py")
    for node in ast.parse(path.read_text()).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=int(version)))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=int(version)))
            ) if name == _VERSION:
                return version
            case _:
                pass
    return getattr(importlib.import_module(f"kinemill.{module}"), _VERSION)


def code_references(task: Task, body: Callable[..., object]) -> dict[str, Any]:
    """Return metadata with the locations of an asset's code and task file.

    Where `link_to_git` links to the project's repository, it is the task file alone: the program
    is not there.
    """
    code = body.__code__
    files = [] if _repository() else [(code.co_filename, code.co_firstlineno)]
    files += [(str(task.path), 1)] if task.path else []
    references: list[dg.LocalFileCodeReference | dg.UrlCodeReference] = [
        dg.LocalFileCodeReference(file_path=file, line_number=n) for file, n in files
    ]
    value = dg.CodeReferencesMetadataValue(code_references=references)
    return {"dagster/code_references": value}


def link_to_git(assets: Sequence[dg.AssetsDefinition]) -> Sequence[Any]:
    """Link task files to the project's repository, if KINEMILL_GIT_URL and a project are set."""
    if (url := _repository()) is None:
        return assets
    return dg.link_code_references_to_git(
        assets,
        git_url=url,
        git_branch=os.environ.get("KINEMILL_GIT_BRANCH", "main"),
        file_path_mapping=dg.AnchorBasedFilePathMapping(require_project(), ""),
        platform="gitlab" if "gitlab" in url else "github",
    )


def _repository() -> str | None:
    return os.environ.get("KINEMILL_GIT_URL") if project_root() else None
