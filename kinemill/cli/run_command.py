"""`kinemill run`: run the whole pipeline in this process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import (
    Logs,
    Output,
    Overrides,
    Presets,
    Resume,
    Table,
    TaskName,
    changes,
    logs_path,
    notify,
    quantity,
)
from kinemill.errors import BadInput
from kinemill.store.disk_space import warn
from kinemill.store.home import Home

_REFUSED = 1


def run(
    task: TaskName,
    logs: Logs = None,
    overrides: Overrides = None,
    presets: Presets = None,
    dummy: bool = False,
    settings: Annotated[list[str] | None, typer.Option("--dummy-set", metavar="KEY=VALUE")] = None,
    resume: Resume = False,
    recompute: Annotated[list[str] | None, typer.Option(metavar="STAGE")] = None,
) -> Output:
    """Run the pipeline for a task.

    Reads logs, trains, verifies and registers a model. Cached stages are skipped. The exit
    code is 1 if the gate refuses the model. A task with a `loop` part runs its rounds, and
    the exit code is 1 if its target is not reached.

    Example: kinemill run my_robot --logs path/to/logs

    Args:
        dummy: Use synthetic logs in a separate home.
        settings: Synthetic logs: episodes, samples, image, instructions, states, actions, seed.
        recompute: Compute a stage although it is cached.
    """
    if not dummy and not settings:
        changed = changes(task, presets, overrides)
        return run_task(task, logs, changed, resume=resume, recompute=recompute or [])
    from kinemill.cli.dummy import prepare

    task, logs, spelled = prepare(task, settings or [])
    output = run_task(task, logs, changes(task, presets, [*spelled, *(overrides or [])]))
    if output.exit_code == _REFUSED:  # no failure of a test with synthetic logs
        output.exit_code = 0
        notify(
            "the gate refused the model of the synthetic logs; every stage of the pipeline works"
        )
    return output


def run_task(
    task: str,
    logs: Path | None,
    changed: Mapping[str, object],
    *,
    resume: bool = False,
    recompute: Sequence[str] = (),
    is_kept: bool = True,
) -> Output:
    """Run the pipeline, and return its document and tables.

    Args:
        task: name of a task, or path of its file.
        logs: log or folder of logs; default: the drop folder.
        changed: values by dotted key.
        resume: whether to resume a stopped training.
        recompute: stages to compute although they are cached.
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
        return _run_loop(task, folder, changed, resume=resume)
    pipeline = project("pipelines.run")
    result = pipeline.run_chain(
        task, changed, logs=folder, resume=resume, recompute=recompute, show_progress=True
    )
    verified = pipeline.verification_of(task, result.version)
    return Output(
        result,
        lambda: run_summary(result, verified, is_kept=is_kept),
        exit_code=_REFUSED if result.status == "refused" else 0,
    )


def _run_loop(
    task: str, logs: Path | None, changed: Mapping[str, object], *, resume: bool
) -> Output:
    """Run the learning loop of a task."""
    from kinemill.api.progress import StderrProgress
    from kinemill.api.project import project

    for option, is_set, fix in (
        ("--logs", logs is not None, "move them to the drop folder: kinemill data ingest"),
        ("--resume", resume, "leave it out: a loop always resumes"),
    ):
        if is_set:
            raise BadInput(option, "does not apply to a task with a `loop` part", fix=fix)
    summary = project("pipelines.loop").run_loop(task, changed, StderrProgress())
    rows = [
        row
        | {
            "round": row["number"],
            "robot, steps": row["steps"],
            "successes": f"{row['successes']} of {row['trials']}" if row["trials"] else "",
            "wall, s": row["wall"],
        }
        for row in summary["rounds"]
    ]
    columns = ["round", "robot, steps", "successes", "version", "alias", "nrmse", "wall, s"]
    trials = summary["trials"]
    succeed = f"{summary['successes']} of {trials} succeed after " if trials else ""
    return Output(
        summary,
        Table(f"rounds of {summary['task']}", columns, rows),
        f"{summary['status']}: {succeed}{quantity(summary['seconds_of_robot'])} s of robot time",
        f"report  {summary['report']}",
        exit_code=_REFUSED if summary["status"] == "missed" else 0,
    )
