"""Data commands: ingest, check, validate and forget logs, and check them for drift."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from kinemill.cli.completion import complete_task
from kinemill.cli.log_results import show_files
from kinemill.cli.output import (
    Limit,
    Offset,
    Output,
    Table,
    TaskName,
    logs_path,
    notify,
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
    paths: Annotated[list[Path] | None, typer.Argument()] = None,
) -> Output:
    """Read logs into the store.

    Logs that are already in the store are skipped. A rejected log is listed with the reason.

    Example: kinemill data ingest my_robot path/to/logs

    Args:
        paths: Log files or folders; default: the task's drop folder.
    """
    reports = _ingest(task, paths)
    _print_ignored({name: why for report in reports for name, why in report.ignored.items()})
    files = [file for report in reports for file in report.files]
    return Output({"files": files}, lambda: show_files(f"logs of {reports[0].task.name}", files))


def validate(
    task: TaskName,
    paths: Annotated[list[Path] | None, typer.Argument()] = None,
) -> Output:
    """Read logs and check them, without a dataset or model.

    Recordings in the store are processed again where rules of the task changed.

    Example: kinemill data validate my_robot path/to/logs

    Args:
        paths: Log files or folders; default: the task's drop folder.
    """
    from kinemill.api.progress import StderrProgress
    from kinemill.validate import stage
    from kinemill.validate.summary import EpisodesSummary

    last = _ingest(task, paths)[-1]
    artifact = stage.run(last.task, last.home, last.artifact.ref, StderrProgress())
    summary = EpisodesSummary.of(artifact)
    failed = [check.name for check in summary.checks if check.blocking and not check.passed]
    if failed:
        notify(f"blocked by: {', '.join(failed)}")
    text = (
        f"{summary.accepted} episodes accepted, {summary.quarantined} of {summary.recordings} "
        f"recordings in quarantine\nkinemill run {last.task.name} trains a model on them"
    )
    counts = {"accepted": summary.accepted, "recordings": summary.recordings}
    counts |= {"quarantined": summary.quarantined, "failed": failed}
    return Output({"task": last.task.name} | counts, text, exit_code=int(bool(failed)))


def _ingest(task: str, paths: list[Path] | None) -> list[Any]:
    """Read logs, or the drop folder; return the `IngestReport` of each."""
    from kinemill.api.progress import StderrProgress
    from kinemill.ingest import stage
    from kinemill.ingest.files import require_logs
    from kinemill.task import load_task

    loaded = load_task(task)
    folders = [logs_path(path) for path in paths or []]
    for folder in folders:
        require_logs(loaded, folder)
    home, progress = Home.resolve(), StderrProgress()
    return [stage.run(loaded, home, folder, progress) for folder in folders or [None]]


def check(
    files: list[Path],
    task: Annotated[str, typer.Option(autocompletion=complete_task, callback=task_or_draft)],
) -> Output:
    """Check logs against a task without storing them.

    The exit code is 1 if a log would be quarantined.

    Example: kinemill data check path/to/logs --task my_robot

    Args:
        files: Log files or folders to check.
        task: Task name, path of a task file, or gym:ID.
    """
    from kinemill.dataset.dry_run import dataset_problem
    from kinemill.task import load_task
    from kinemill.validate import dry_run as dry

    loaded = load_task(task)
    home = Home.resolve()
    accepted: list[dry.AcceptedEpisode] = []
    entries = [entry for path in files for entry in dry.dry_run(loaded, home, path, accepted)]
    folders = any(path.is_dir() for path in files)
    problem = dataset_problem(loaded, home, accepted, split=folders)
    faults = dry.compare_logs(accepted, loaded)
    faults += dry.find_copies(entries, accepted, loaded)
    failed = bool(problem) or any(dry.gives_nothing(entry) for entry in entries)
    if problem:
        notify(f"no model can be trained on these logs: {escape_controls(problem)}")
    return Output(
        {"files": entries, "dataset": problem or None, "compared": faults},
        lambda: show_files(f"logs, checked for {loaded.name}", entries),
        lambda: notify(*map(escape_controls, faults)),
        exit_code=int(failed),
    )


def list_recordings(task: TaskName, limit: Limit = 100, offset: Offset = 0) -> Output:
    """List the recordings of a task with their status.

    Example: kinemill data list my_robot
    """
    from kinemill.task import load_task
    from kinemill.validate.recording_status import recording_statuses

    loaded = load_task(task)
    total, page = recording_statuses(loaded, Home.resolve(), offset, limit)
    lines = [item.to_json() for item in page]
    rows = [line | {"recording": line["recording"][:16]} for line in lines]
    title = f"recordings of {loaded.name}, {len(lines)} of {total}"
    return Output(
        {"task": loaded.name, "total": total, "recordings": lines},
        Table(title, ["name", "recording", "status", "episodes", "rows"], rows),
    )


def _print_ignored(ignored: dict[str, str]) -> None:
    """Print the ignored files with the reasons."""
    names: dict[str, list[str]] = {}
    for name, why in ignored.items():
        names.setdefault(why, []).append(escape_controls(name))
    for why, files in names.items():
        notify(f"ignored ({why}): {join_first(files, _NAMED)}")


def forget(
    task: TaskName,
    recording: Recording,
    because: Because = "",
    yes: bool = False,
    undo: bool = False,
) -> Output:
    """Remove a recording permanently.

    Lists the datasets and models that used it.

    Example: kinemill data forget my_robot run1.csv --because 'wrong robot'

    Args:
        yes: Skip the confirmation prompt.
        undo: Allow a forgotten recording to be ingested again.
    """
    from kinemill.ingest.inspection import find_member
    from kinemill.register.lineage import uses_of
    from kinemill.task import load_task
    from kinemill.validate import forget as storage

    loaded = load_task(task)
    home = Home.resolve()
    if undo:
        made = vars(storage.undo_forget(loaded, home, recording, because))
        return Output(made, f"{made['name']} can be ingested again")
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
    return Output(
        {**vars(decision), "removed": removed, "datasets": used},
        f"{member.name} ({member.hash[:16]}) is forgotten: {_spell_use(used)}",
    )


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


def drift(
    task: TaskName,
    logs: Path | None = None,
) -> Output:
    """List new episodes with large errors of the champion.

    The errors are compared with those at training time.

    Example: kinemill data drift my_robot --logs path/to/logs

    Args:
        logs: Log or folder of logs to compare; nothing is stored.
    """
    from kinemill.api.progress import StderrProgress
    from kinemill.cli.recording_tables import drift_table
    from kinemill.ingest import stage as ingest
    from kinemill.ingest.membership import members
    from kinemill.register.champion import load_champion
    from kinemill.task import load_task
    from kinemill.validate import stage as validate
    from kinemill.validate.drift import find_drift

    loaded = load_task(task)
    home = Home.resolve()
    if logs is None and not members(home, loaded.name):
        fix = f"kinemill data ingest {loaded.name}; or name logs with --logs"
        raise BadInput(loaded.name, "has no recording yet", fix=fix)
    progress = StderrProgress()
    with TemporaryDirectory(prefix="kinemill-drift-") as scratch:
        source = Path(scratch)
        new = home
        if logs is not None:  # read into a temporary home
            source = logs_path(logs, "--logs")
            new = Home(Path(scratch))
        recordings = ingest.run(loaded, new, source, progress).artifact.ref
        episodes = validate.run(loaded, new, recordings, progress).ref
        report = find_drift(
            loaded, new, episodes, lambda: load_champion(home, loaded.name), progress
        )
    return Output(report, lambda: drift_table(report))
