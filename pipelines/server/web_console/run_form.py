"""Form to start a run: presets, logs, and every scalar setting of the task with its bounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from kinemill.dataset.catalog import Version, dataset_versions
from kinemill.dataset.listing import scan_listing
from kinemill.ingest.files import drop_folder
from kinemill.ingest.membership import members
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.gate_settings import GATE
from kinemill.task.presets import applicable_presets
from kinemill.task.setting_list import Setting, settings_of
from kinemill_dagster.pipelines.server.rest.documents import LogFile
from kinemill_dagster.pipelines.server.rest.log_folders import describe_folder
from kinemill_dagster.pipelines.server.web_console.layout import console_page

_PARTS = ("learn", "dataset", "verify", "promote")
_OF_A_MODEL = {"learn.steps", "learn.epochs"}
_MOST_MEMBERS = 1000  # recordings of a task that are listed; each is a file to read
_VERSIONS = 10  # newest dataset versions in the form


@dataclass(frozen=True)
class Logs:
    """Logs, or clips, from which a user selects.

    Attributes:
        files: files in the drop folder, then recordings that are no longer there.
        listed: number of files of the drop folder in `files`.
        total: number of files in the drop folder.
        versions: names of the recordings of each dataset version.
    """

    files: Sequence[LogFile]
    listed: int
    total: int
    versions: dict[Version, list[str]]


def run_form(task: Task, home: Home) -> str:
    """Return the page with the form of a task."""
    presets: dict[str, list[str]] = {}
    for item in applicable_presets(task):
        part, _, name = item.partition("=")
        presets.setdefault(part, []).append(name)
    return console_page(
        f"{task.name}: start a run",
        "run_form.html.j2",
        task.name,
        task=task,
        presets=presets,
        logs=_logs(task, home) if task.learn.from_logs else None,
        parts={part: _settings(task, part) for part in _PARTS},
        gate=GATE,
    )


def _settings(task: Task, part: str) -> list[Setting]:
    """Return the settings of a part of a task; those of plug-ins last."""
    settings = sorted(settings_of(getattr(task, part), f"{part}."), key=lambda s: s.key.count("."))
    if getattr(task.learn, "model", True) is None:  # a portfolio trains until its budget ends
        settings = [setting for setting in settings if setting.key not in _OF_A_MODEL]
        settings.sort(key=lambda setting: setting.key != "learn.budget")
    return settings


def _logs(task: Task, home: Home) -> Logs:
    folder = drop_folder(task, home)
    described = describe_folder(task.name, folder) if folder.is_dir() else None
    files = described.files if described else []
    versions = {
        version: _names(home, version)
        for version in dataset_versions(home, task.name, 0, _VERSIONS)
        if version.status(home) == "ready"
    }
    total = described.total if described else 0
    return Logs([*files, *_read_before(task, home, files)], len(files), total, versions)


def _read_before(task: Task, home: Home, files: Sequence[LogFile]) -> list[LogFile]:
    """Return the recordings that are no longer in the drop folder, if they are not too many."""
    folder = home.store / "members" / task.name
    if not folder.is_dir() or sum(1 for _ in folder.iterdir()) > _MOST_MEMBERS:
        return []
    present = {file.name for file in files}
    absent = {
        member.name: member.bytes
        for member in members(home, task.name).values()
        if member.name not in present
    }
    return [
        LogFile(name=name, bytes=size, modified_at="read before")
        for name, size in sorted(absent.items())
    ]


def _names(home: Home, version: Version) -> list[str]:
    """Return the names of the recordings of a version, sorted."""
    names = scan_listing(version.folder(home)).select(pl.col("name").unique().sort())
    return names.collect()["name"].to_list()
