"""Files of a project: templates that come with the package, and Dagster's settings in a home.

This module imports no Dagster, so that commands which only write files start fast.
"""

import os
from importlib.resources import files
from pathlib import Path

from kinemill.store import aside_of, publish_file
from kinemill.store.home import Home
from kinemill.store.project import project_root

SETTINGS = "dagster.yaml"


def packaged(name: str) -> Path:
    """Return a file of the package, such as the template of `dagster.yaml`."""
    return Path(str(files("kinemill_dagster"))) / name


def settings_file() -> Path:
    """Return `dagster.yaml` of the project, or of the package where the project has none."""
    root = project_root()
    own = root / SETTINGS if root else None
    return own if own and own.is_file() else packaged(SETTINGS)


def place_settings(home: Home, source: Path) -> None:
    """Put `dagster.yaml` into Dagster's folder.

    In a home inside the project it is a relative link, so that changes of the project's file take
    effect at once. Any other home gets a copy.
    """
    target, parent = home.dagster / SETTINGS, source.parent.resolve()
    if not home.dagster.resolve().is_relative_to(parent):
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
