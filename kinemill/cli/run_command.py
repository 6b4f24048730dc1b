"""`kinemill run`: run the whole pipeline in this process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import (
    JsonOption,
    Logs,
    Overrides,
    Presets,
    Resume,
    TaskName,
    changes,
    document,
    logs_path,
    notify,
    quantity,
    table,
)
from kinemill.errors import BadInput, KinemillError
from kinemill.store.disk_space import warn
from kinemill.store.home import Home

_REFUSED = 1


def run(
    task: TaskName,
    logs: Logs = None,
    overrides: Overrides = None,
    presets: Presets = None,
    dummy: Annotated[
        bool, typer.Option("--dummy", help="Use synthetic logs in a separate home.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--dummy-set",
            metavar="KEY=VALUE",
            help="Synthetic logs: episodes, samples, image, instructions, states, actions, seed.",
        ),
    ] = None,
    resume: Resume = False,
    recompute: Annotated[
        list[str] | None,
        typer.Option(metavar="STAGE", help="Compute a stage although it is cached."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the pipeline for a task.

    Reads logs, trains, verifies and registers a model. Cached stages are skipped. The exit
    code is 1 if the gate refuses the model. A task with a `loop` part runs its rounds, and
    the exit code is 1 if its target is not reached.

    Example: kinemill run my_robot --logs path/to/logs
    """
    if dummy or settings:
        _try(task, settings or [], (presets, overrides), as_json=as_json)
    else:
        changed = changes(presets, overrides)
        run_task(task, logs, changed, resume=resume, recompute=recompute or [], as_json=as_json)


def _try(
    task: str,
    settings: list[str],
    extra: tuple[list[str] | None, list[str] | None],
    *,
    as_json: bool,
) -> None:
    """Run the pipeline on synthetic logs; a refusal by the gate is no failure."""
    from kinemill.cli.dummy import prepare

    task, logs, spelled = prepare(task, settings)
    try:
        changed = changes(extra[0], [*spelled, *(extra[1] or [])])
        run_task(task, logs, changed, as_json=as_json)
    except typer.Exit as refused:
        if refused.exit_code != _REFUSED:
            raise
        notify(
            "the gate refused the model of the synthetic logs; every stage of the pipeline works"
        )


def run_task(
    task: str,
    logs: Path | None,
    changed: Mapping[str, object],
    *,
    resume: bool = False,
    recompute: Sequence[str] = (),
    as_json: bool,
    is_kept: bool = True,
) -> None:
    """Run the pipeline and print its document or its tables.

    Args:
        task: name of a task, or path of its file.
        logs: log or folder of logs; default: the drop folder.
        changed: values by dotted key.
        resume: whether to resume a stopped training.
        recompute: stages to compute although they are cached.
        as_json: whether to print a JSON document.
        is_kept: whether the home is kept, so that its paths are printed.
    """
    from kinemill.api.project import project
    from kinemill.cli.summary import run_summary
    from kinemill.task import load_task

    folder = logs_path(logs, "--logs") if logs else None
    effective = load_task(task, changed)
    notify(*effective.notes)
    if logs is not None and not effective.learn.from_logs:
        why = f"{effective.name} trains in its environment, without logs"
        raise BadInput(f"--logs {logs}", why, fix="leave it out")
    warn(Home.resolve().root, notify)
    if effective.loop is not None:
        _run_loop(task, folder, changed, resume=resume, as_json=as_json)
        return
    try:
        result = project("pipelines.run").run_chain(
            task,
            changed,
            logs=folder,
            resume=resume,
            recompute=recompute,
            show_progress=True,
        )
    except KinemillError as error:
        if as_json and error.document:
            document(error.document)
        raise
    if as_json:
        document(result)
    else:
        verified = project("pipelines.run").verification_of(task, result.version)
        run_summary(result, verified, is_kept=is_kept)
    if result.status == "refused":
        raise typer.Exit(_REFUSED)


def _run_loop(
    task: str, logs: Path | None, changed: Mapping[str, object], *, resume: bool, as_json: bool
) -> None:
    """Run the learning loop of a task and print its document or its table."""
    from kinemill.api.progress import StderrProgress
    from kinemill.api.project import project

    for option, is_set, fix in (
        ("--logs", logs is not None, "move them to the drop folder: kinemill data ingest"),
        ("--resume", resume, "leave it out: a loop always resumes"),
    ):
        if is_set:
            raise BadInput(option, "does not apply to a task with a `loop` part", fix=fix)
    summary = project("pipelines.loop").run_loop(task, changed, StderrProgress())
    if as_json:
        document(summary)
    else:
        table(
            f"rounds of {summary['task']}",
            ["round", "robot, steps", "successes", "version", "alias", "nrmse", "wall, s"],
            [
                [
                    row["number"],
                    row["steps"],
                    f"{row['successes']} of {row['trials']}",
                    row["version"],
                    row["alias"] or "",
                    row["nrmse"],
                    row["wall"],
                ]
                for row in summary["rounds"]
            ],
        )
        typer.echo(
            f"{summary['status']}: {summary['successes']} of {summary['trials']} succeed after "
            f"{quantity(summary['seconds_of_robot'])} s of robot time"
        )
        typer.echo(f"report  {summary['report']}")
    if summary["status"] == "missed":
        raise typer.Exit(_REFUSED)
