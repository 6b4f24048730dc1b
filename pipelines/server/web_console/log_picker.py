"""Tables of logs with a checkbox for each: those of a drop folder, and of dataset versions."""

import json
from collections.abc import Sequence
from html import escape

import polars as pl

from kinemill.dataset.catalog import Version, dataset_versions
from kinemill.dataset.listing import scan_listing
from kinemill.ingest.files import drop_folder
from kinemill.ingest.membership import members
from kinemill.reports.components import table
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.pipelines.server.rest.documents import LogFile, LogFolder
from kinemill_dagster.pipelines.server.rest.log_folders import describe_folder

MOST_MEMBERS = 1000  # recordings of a task that are listed; each is a file to read
_VERSIONS = 10  # dataset versions that are offered
_KIB = 1024


def log_table(files: Sequence[LogFile]) -> str:
    """Return the table of logs with name, size and date."""
    rows = [
        [
            f'<label class="choice"><input type="checkbox" data-log="{escape(file.name)}"> '
            f"{escape(file.name)}</label>",
            _size(file.bytes),
            file.modified_at[:16].replace("T", " "),
        ]
        for file in files
    ]
    return table(["Name", "Size", "Date, UTC"], rows, fixed=True)


def picker(task: Task, home: Home) -> str:
    """Return the part of a form in which a user selects the logs, or clips, of a run."""
    what = "Clips" if task.learn.type == "motion" else "Logs"
    if not task.learn.from_logs:
        return f"<p>{escape(task.learn.type)} learns in its environment, without logs.</p>"
    folder = drop_folder(task, home)
    listed = (
        describe_folder(task.name, folder)
        if folder.is_dir()
        else LogFolder(folder=task.name, total=0, files=[])
    )
    files = [*listed.files, *_read_before(task, home, listed.files)]
    more = f" The first {len(listed.files)} of {listed.total} files are listed." * (
        listed.total > len(listed.files)
    )
    note = (
        f"Without a choice the run uses all {what.lower()}. With one it reads and trains on these "
        f"alone, by <code>ingest.include</code>, which needs the role promoter; the split of the "
        f"dataset must match them.{more}"
    )
    body = log_table(files) if files else f"<p>No {what.lower()} yet.</p>"
    return (
        f'<details class="logs"><summary>{what}: <span data-count>all</span></summary>'
        f"<p>{note}</p>{_versions(task, home)}{body}</details>"
    )


def _read_before(task: Task, home: Home, files: Sequence[LogFile]) -> list[LogFile]:
    """Return the recordings that are no longer in the drop folder, if they are not too many."""
    folder = home.store / "members" / task.name
    if not folder.is_dir() or sum(1 for _ in folder.iterdir()) > MOST_MEMBERS:
        return []
    present = {file.name for file in files}
    absent = sorted(
        (member for member in members(home, task.name).values() if member.name not in present),
        key=lambda one: one.name,
    )
    return [LogFile(name=one.name, bytes=one.bytes, modified_at="read before") for one in absent]


def _versions(task: Task, home: Home) -> str:
    """Return the choice of a dataset version, which selects its logs."""
    versions = dataset_versions(home, task.name, 0, _VERSIONS)
    ready = [
        (version, _names(home, version)) for version in versions if version.status(home) == "ready"
    ]
    if not ready:
        return ""
    listed = "".join(
        f'<option value="{one.number}" data-names="{escape(json.dumps(names))}">'
        f"version {one.number}, {one.created[:16].replace('T', ' ')}, {len(names)} logs</option>"
        for one, names in ready
    )
    return (
        "<label><span>Logs of a dataset version</span><select data-versions>"
        f'<option value="">choose below</option>{listed}</select></label>'
    )


def _names(home: Home, version: Version) -> list[str]:
    """Return the names of the recordings of a version, sorted."""
    names = scan_listing(version.folder(home)).select(pl.col("name").unique().sort())
    return names.collect()["name"].to_list()


def _size(size: int) -> str:
    if size >= _KIB**2:
        return f"{size / _KIB**2:,.1f} MiB"
    return f"{size / _KIB:,.1f} KiB"
