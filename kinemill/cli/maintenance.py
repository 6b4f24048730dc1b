"""Maintenance commands of a home: gc, backup, restore and rebuild."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.completion import complete_task
from kinemill.cli.output import Output, Table, notify
from kinemill.errors import BadInput
from kinemill.store import Home

_POWERS = ["", "k", "m", "g", "t"]
_OVER = 1  # exit code: the home exceeds the budget, or files are damaged


def gc(
    task: Annotated[str | None, typer.Argument(autocompletion=complete_task)] = None,
    budget: str | None = None,
    unused: Annotated[float, typer.Option(min=0)] = 7.0,
    logs: Annotated[float, typer.Option(min=0)] = 30.0,
    dry: Annotated[bool, typer.Option("--dry-run")] = False,
    why: bool = False,
) -> Output:
    """Delete artifacts that no registered version depends on.

    Deletes the oldest first, and never a champion or its data.

    Example: kinemill admin gc --budget 20GB --dry-run

    Args:
        task: Task to clean up; default: all.
        budget: Maximum size of the home, for example 20GB.
        unused: Days without use after which artifacts can be deleted.
        logs: Days after which logs and runs can be deleted.
        dry: List what would be deleted, and delete nothing.
        why: Print why each remaining item is kept.
    """
    from kinemill.maintenance.gc import Limits, collect
    from kinemill.task import NullReporter, load_task

    home = Home.resolve()
    name = load_task(task).name if task else None
    limits = Limits(name, parse_size(budget) if budget else None, unused, logs, dry)
    with _orchestrator(home) as orchestrator:
        report = collect(home, limits, orchestrator, NullReporter())
    would = "would go" if report["dry_run"] else "went"
    freed = [
        [kind, line["things"], spell_size(line["bytes"])] for kind, line in report["freed"].items()
    ]
    parts = [Table(f"what {would}", ["kind", "things", "size"], freed)] if freed else []
    if why:
        rows = [[item["name"], spell_size(item["bytes"]), item["why"]] for item in report["kept"]]
        parts.append(Table("what stays", ["outcome", "size", "why"], rows))
    else:
        size = sum(entry["bytes"] for entry in report["kept"])
        report["kept"] = {"things": len(report["kept"]), "bytes": size}
    old_size = report["bytes"]["before"]
    difference = spell_size(old_size - report["bytes"]["after"])
    if not report["within_budget"]:
        notify("the rest is protected; kinemill admin gc --why lists what is kept and why")
    return Output(
        report,
        *parts,
        f"{report['home']}: {spell_size(old_size)}, {difference} {would}",
        exit_code=0 if report["within_budget"] else _OVER,
    )


def backup(
    to: Path,
) -> Output:
    """Back up the home while it is in use.

    Files that the folder has are not copied again.

    Example: kinemill admin backup path/to/backup

    Args:
        to: Backup folder, outside the home.
    """
    from kinemill.maintenance.backups import back_up
    from kinemill.task.protocols import NullReporter

    report = back_up(Home.resolve(), to, NullReporter())
    added = report["added"]
    notify(*(f"damaged and omitted: {line}" for line in report["damaged"]))
    return Output(
        report,
        f"{report['backup']}: backup {report['made']}, {report['files']} files, "
        f"{spell_size(report['bytes'])}; new are {added['files']}, {spell_size(added['bytes'])}",
        lambda: notify(f"not in it: {'; '.join(report['left_out'])}"),
        exit_code=_OVER if report["damaged"] else 0,
    )


def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM")],
    replace: bool = False,
) -> Output:
    """Restore the home from a backup.

    Every file is checked against its hash.

    Example: kinemill admin restore path/to/backup

    Args:
        source: Backup folder.
        replace: Move the current content of the home aside.
    """
    from kinemill.maintenance.restore import restore as bring_back
    from kinemill.task.protocols import NullReporter

    report = bring_back(Home.find(), source, NullReporter(), replace=replace)
    size = spell_size(report["bytes"])
    replaced = f"the previous content is in {report['replaced']}"
    return Output(
        report,
        f"{report['home']}: as of {report['made']}, {report['files']} files, {size}",
        *([lambda: notify(replaced)] if report["replaced"] else []),
    )


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `20GB`, `500 M`, `4GiB` or `1e9`.

    Raises:
        BadInput: The text is not a size.
    """
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    if match is None:
        raise BadInput(f"--budget {text}", "is no size", expected="as 20GB or 500M")
    base = 1024 if match[3] else 1000
    return round(float(match[1]) * base ** _POWERS.index(match[2]))


def spell_size(size: float) -> str:
    """Return bytes with a unit as text."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _orchestrator(home: object) -> Any:
    from kinemill.api.project import project

    return project("pipelines.housekeeping").orchestrator(home)


def rebuild_catalog() -> Output:
    """Rebuild the catalog of recordings from the store.

    Example: kinemill admin rebuild-catalog
    """
    from kinemill.maintenance.rebuild_catalog import rebuild_catalog as rebuild

    summary = rebuild(Home.resolve())
    rows = [[task, line["recordings"], line["next"]] for task, line in summary["tasks"].items()]
    previous = summary.get("backup")
    return Output(
        summary,
        Table(f"catalog of {summary['home']}", ["task", "recordings", "next ingest"], rows),
        *([lambda: notify(f"the previous catalog is in {previous}")] if previous else []),
    )
