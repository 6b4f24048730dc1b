"""Data commands: ingest, check, reprocess and forget logs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.completion import complete_task
from kinemill.cli.log_results import show_files
from kinemill.cli.output import (
    JsonOption,
    Limit,
    Offset,
    TaskName,
    document,
    logs_path,
    notify,
    table,
    task_or_draft,
)
from kinemill.errors import BadInput, join_first
from kinemill.reports.control_characters import escape_controls
from kinemill.store import Home, Json

Recording = Annotated[
    str, typer.Argument(help="Recording name, content hash or its prefix, or episode id.")
]
Because = Annotated[str, typer.Option("--because", help="Reason, written to the audit log.")]

_NAMED = 8  # most ignored files in a list


def ingest(
    task: TaskName,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Log files or folders; default: the task's drop folder."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read logs into the store.

    Logs that are already in the store are skipped. A rejected log is listed with the reason.

    Example: kinemill data ingest my_robot path/to/logs
    """
    from kinemill.api.progress import StderrProgress
    from kinemill.ingest import stage
    from kinemill.ingest.files import require_logs
    from kinemill.task import load_task

    loaded = load_task(task)
    home = Home.resolve()
    folders = [logs_path(path) for path in paths or []] or [None]
    for folder in filter(None, folders):
        require_logs(loaded, folder)
    reports = [stage.run(loaded, home, folder, StderrProgress()) for folder in folders]
    _print_ignored({name: why for report in reports for name, why in report.ignored.items()})
    files = [file for report in reports for file in report.files]
    document({"files": files}) if as_json else show_files(f"logs of {loaded.name}", files)


def validate(
    task: TaskName,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Log files or folders; default: the task's drop folder."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read logs and check them, without a dataset or model.

    A task that joins this one uses the accepted episodes.

    Example: kinemill data validate my_robot path/to/logs
    """
    from kinemill.api.progress import StderrProgress
    from kinemill.ingest import stage
    from kinemill.ingest.files import require_logs
    from kinemill.task import load_task

    loaded = load_task(task)
    home = Home.resolve()
    for folder in [logs_path(path) for path in paths or []] or [None]:
        if folder is not None:
            require_logs(loaded, folder)
        stage.run(loaded, home, folder, StderrProgress())
    _reprocess(task, as_json=as_json)


def _reprocess(task: str, *, as_json: bool) -> None:
    """Process the recordings of a task by its rules, and print what was done.

    Raises:
        typer.Exit: A blocking check failed.
    """
    from kinemill.api.progress import StderrProgress
    from kinemill.cli.recording_tables import reprocess_table
    from kinemill.task import load_task
    from kinemill.validate.reprocess import reprocess

    report = reprocess(load_task(task), Home.resolve(), StderrProgress())
    document(report) if as_json else reprocess_table(report)
    if report.failed:
        notify(f"blocked by: {', '.join(report.failed)}")
        raise typer.Exit(1)


def check(
    files: Annotated[list[Path], typer.Argument(help="Log files or folders to check.")],
    task: Annotated[
        str,
        typer.Option(
            "--task",
            help="Task name, path of a task file, or gym:ID.",
            autocompletion=complete_task,
            callback=task_or_draft,
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Check logs against a task without storing them.

    The exit code is 1 if a log would be quarantined.

    Example: kinemill data check path/to/logs --task my_robot
    """
    from kinemill.dataset.dry_run import dataset_problem
    from kinemill.task import load_task
    from kinemill.validate.action_fit import find_action_faults
    from kinemill.validate.dry_run import AcceptedEpisode, dry_run, gives_nothing

    loaded = load_task(task)
    home = Home.resolve()
    accepted: list[AcceptedEpisode] = []
    entries = [entry for path in files for entry in dry_run(loaded, home, path, accepted)]
    folders = any(path.is_dir() for path in files)
    problem = dataset_problem(loaded, home, accepted, split=folders)
    first = {episode.name: episode.first_rows for episode in reversed(accepted)}
    faults = [f"{fault.log}: {fault.what}" for fault in find_action_faults(first, loaded)]
    originals = {entry["hash"]: entry["file"] for entry in reversed(entries)}
    faults += [
        f"{entry['file']}: an exact copy of {originals[entry['hash']]}"
        for entry in entries
        if entry["hash"] and originals[entry["hash"]] != entry["file"]
    ]
    if as_json:
        document({"files": entries, "dataset": problem or None, "compared": faults})
    else:
        show_files(f"logs, checked for {loaded.name}", entries)
        for fault in faults:
            notify(escape_controls(fault))
    if problem:
        notify(f"no model can be trained on these logs: {escape_controls(problem)}")
    if problem or any(gives_nothing(entry) for entry in entries):
        raise typer.Exit(1)


def list_recordings(
    task: TaskName, limit: Limit = 100, offset: Offset = 0, as_json: JsonOption = False
) -> None:
    """List the recordings of a task with their status.

    Example: kinemill data list my_robot
    """
    from kinemill.task import load_task
    from kinemill.validate.recording_status import recording_statuses

    loaded = load_task(task)
    statuses = [*recording_statuses(loaded, Home.resolve())]
    lines = [item.to_json() for item in statuses[offset:][:limit]]
    if as_json:
        document({"task": loaded.name, "total": len(statuses), "recordings": lines})
        return
    rows = [
        [line["name"], line["recording"][:16]]
        + [line[key] for key in ("status", "episodes", "rows")]
        for line in lines
    ]
    columns = ["name", "recording", "status", "episodes", "rows"]
    table(f"recordings of {loaded.name}, {len(lines)} of {len(statuses)}", columns, rows)


def _print_ignored(ignored: dict[str, str]) -> None:
    """Print the ignored files with the reasons."""
    names: dict[str, list[str]] = {}
    for name, why in ignored.items():
        names.setdefault(why, []).append(escape_controls(name))
    for why, files in names.items():
        notify(f"ignored ({why}): {join_first(files, _NAMED)}")


def reprocess(
    task: TaskName,
    match: Annotated[
        list[str] | None, typer.Option(help="Only recordings that match this pattern; repeatable.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First recording name, in sorted order.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last recording name, in sorted order.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Process recordings again whose rules changed.

    Prints the changed rules and the processed recordings.

    Example: kinemill data reprocess my_robot
    """
    from kinemill.api.progress import StderrProgress
    from kinemill.task import load_task
    from kinemill.validate.backfill import Range, backfill

    loaded = load_task(task)
    if match or first or last:
        part = backfill(
            loaded, Home.resolve(), Range(match or ["*"], first, last), StderrProgress()
        )
        if as_json:
            document(part)
        else:
            typer.echo(
                f"{part.recordings} recordings of {part.task} follow the current rules: "
                f"{part.read} were ingested and {part.evaluated} validated again"
            )
        return
    _reprocess(task, as_json=as_json)


def forget(
    task: TaskName,
    recording: Recording,
    because: Because = "",
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation prompt.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Allow a forgotten recording to be ingested again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a recording permanently.

    Lists the datasets and models that used it.

    Example: kinemill data forget my_robot run1.csv --because 'wrong robot'
    """
    from kinemill.ingest.inspection import find_member
    from kinemill.register.lineage import uses_of
    from kinemill.task import load_task
    from kinemill.validate import forget as storage

    loaded = load_task(task)
    home = Home.resolve()
    if undo:
        made = storage.undo_forget(loaded, home, recording, because).to_json()
        text = f"{made['name']} can be ingested again"
        document(made) if as_json else typer.echo(text)
        return
    member = find_member(loaded, home, recording)
    used = uses_of(home, loaded.name, member.hash)["recordings"][0]["datasets"]
    stored = storage.stored_data(loaded, home, member)
    if not yes:
        consequence = f"{member.bytes} bytes of {loaded.name} will be removed"
        _confirm(member.name, f"{consequence}; {_spell_use(used)}")
    removed = {
        "raw": stored.raw is not None,
        "artifacts": len(stored.artifacts),
        "bytes": stored.bytes,
    }
    decision = storage.forget(loaded, home, member, because)
    if as_json:
        document({**decision.to_json(), "removed": removed, "datasets": used})
        return
    typer.echo(f"{member.name} ({member.hash[:16]}) is forgotten: {_spell_use(used)}")


def _confirm(recording: str, consequence: str) -> None:
    """Ask for confirmation of an irreversible deletion.

    Raises:
        BadInput: Stdin is not a terminal.
    """
    if not sys.stdin.isatty():
        raise BadInput(
            recording, consequence, fix="--yes removes it; the log file itself is not touched"
        )
    notify(f"{recording}: {consequence}")
    typer.confirm("Remove it?", abort=True, err=True)


def _spell_use(used: list[Json]) -> str:
    """Return the dataset and model versions that used a recording, as text."""
    if not used:
        return "no dataset and no model used it"
    datasets = ", ".join(f"v{item['version']}" for item in used)
    models = [
        "@".join([f"v{model['version']}", *model["aliases"]])
        for item in used
        for model in item["models"]
    ]
    return (
        f"used by dataset {datasets}, which keeps its packed rows, and by "
        f"{'model ' + ', '.join(models) if models else 'no model'}"
    )
