"""Code version of an asset, and references to its code and its task file."""

import ast
import importlib
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg

import kinemill
from kinemill.task import Task

_VERSION = "VERSION"
_SUBMODULES = {"references": "verify.references.stage"}
_CARD = "environments.card"  # instead of a dataset, for tasks without logs


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

    Files in a git checkout with a remote also have a link to the remote, at the current commit.
    """
    code, line = _source_of(body.__code__.co_filename), body.__code__.co_firstlineno
    locations = [(code, line)] if code else []
    locations += [(task.path, 1)] if task.path else []
    references = [one for path, number in locations for one in _references(path, number)]
    value = dg.CodeReferencesMetadataValue(code_references=references)
    return {"dagster/code_references": value}


@cache
def _references(path: Path, line: int) -> list[dg.LocalFileCodeReference | dg.UrlCodeReference]:
    """Return the references to a line of a file: on this machine, and on the git server."""
    local = dg.LocalFileCodeReference(file_path=str(path), line_number=line)
    url = _url(path, line)
    return [local, dg.UrlCodeReference(url=url, label=f"{path.name} in git")] if url else [local]


@cache
def _source_of(file: str) -> Path | None:
    """Return the source file of a function, or None."""
    path = Path(file).resolve()
    return path if path.is_file() else None


def _url(path: Path, line: int) -> str | None:
    """Return the page of a file on the git server, or None."""
    root = _checkout_of(path.parent)
    address = _address_of_files(root) if root else None
    if root is None or address is None:
        return None
    return f"{address}/{quote(path.relative_to(root).as_posix())}#L{line}"


@cache
def _checkout_of(folder: Path) -> Path | None:
    """Return the root of the git checkout of a folder, or None."""
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)


@cache
def _address_of_files(root: Path) -> str | None:
    """Return the address of a git checkout's files on the server, or None."""
    remote, commit = _git(root, "remote", "get-url", "origin"), _git(root, "rev-parse", "HEAD")
    address = _web_address(remote) if remote else None
    if commit is None or address is None:
        return None
    return f"{address}/{'-/blob' if 'gitlab' in address else 'blob'}/{commit}"


def _web_address(remote: str) -> str | None:
    """Return the web address of an https remote, or an ssh remote `git@host:path`."""
    remote = remote.removesuffix("/").removesuffix(".git")
    if remote.startswith("git@"):
        host, _, path = remote.removeprefix("git@").partition(":")
        return f"https://{host}/{path}"
    # Without a user or a token, which a remote can contain.
    scheme, _, rest = remote.partition("://")
    return f"https://{rest.rpartition('@')[2]}" if scheme in {"https", "http", "ssh"} else None


def _git(folder: Path, *arguments: str) -> str | None:
    """Return the output of a git command, or None if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
