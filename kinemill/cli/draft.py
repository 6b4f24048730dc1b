"""`kinemill new`: draft a task file from logs, clips or an environment."""

import re
import shlex
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.output import Output, short_path
from kinemill.errors import BadInput
from kinemill.store.project import tasks_folder


class LearnType(StrEnum):
    """Learn types that can be drafted."""

    DYNAMICS = "dynamics"
    IMITATION = "imitation"
    MOTION = "motion"
    REINFORCEMENT = "reinforcement"


def new(
    name: str,
    log: Annotated[Path | None, typer.Option("--from")] = None,
    learn: LearnType = LearnType.DYNAMICS,
    env: str | None = None,
    robot: Path | None = None,
    to: Path | None = None,
    rate: Annotated[float | None, typer.Option(min=1e-06)] = None,
    joints: str | None = None,
    columns: str | None = None,
    explain: bool = False,
) -> Output:
    """Draft a task file from logs, clips or an environment.

    Shows channels, roles, units, derivatives and ranges with the reason for each, and checks
    the logs with the draft. Writes the JSON schema for editors to the same folder.

    Example: kinemill new my_robot --from logs/run1.csv

    Args:
        name: Task name: lower case letters, digits and _.
        log: Log, clip or demonstration, or a folder of them.
        learn: What to learn.
        env: Gymnasium id, MJCF file, or file.py:Class (reinforcement).
        robot: URDF or MJCF file with the joint limits.
        to: File to write; default: NAME.yaml in the tasks folder.
        rate: Rate of the rows, or of the task, in Hz.
        joints: Names of unnamed joints, in order: a,b,c.
        columns: Names of unnamed columns, in order: a,b,c.
        explain: Show facts and the deciding rule per column.
    """
    target = (to or tasks_folder() / f"{name}.yaml").absolute()
    _refuse(name, target)
    task = str(to or name)
    if learn is LearnType.REINFORCEMENT:
        unused = {"--from": log, "--robot": robot, "--rate": rate}
        unused |= {"--joints": joints, "--columns": columns}
        return _draft_environment(name, _required(env, unused), target, task)
    if log is None or env is not None:
        fix = f"kinemill new {name} --learn {learn.value} --from FOLDER"
        problem = "has no logs" if log is None else "has an environment"
        raise BadInput(f"--learn {learn.value}", problem, fix=fix)
    if joints and learn is not LearnType.MOTION:
        problem = "names no joints, so --joints has no effect"
        raise BadInput(f"--learn {learn.value}", problem, fix="use --columns, or --learn motion")
    if columns and learn is LearnType.MOTION:
        problem = "names joints, so --columns has no effect"
        raise BadInput(f"--learn {learn.value}", problem, fix="use --joints")
    build = _builder(learn, _names("--joints" if joints else "--columns", joints or columns or ""))
    from kinemill.cli import draft_summary
    from kinemill.draft.draft_check import check_draft
    from kinemill.draft.robot_file import read_robot
    from kinemill.draft.task_file import create_task_file

    checked = check_draft(build(name, log, rate, read_robot(robot) if robot else None))
    create_task_file(target, checked.text)
    exit_code = draft_summary.warn_of_losses(checked)
    return Output(
        {"task": name, "file": str(target), **draft_summary.draft_document(checked)},
        lambda: draft_summary.show_draft(checked),
        *([lambda: draft_summary.show_facts(checked.draft)] if explain else []),
        f"written to {short_path(str(target))}; correct what is wrong in it",
        f"next  kinemill run {task} --logs {shlex.quote(str(log))}",
        exit_code=exit_code,
    )


def _names(option: str, text: str) -> list[str]:
    """Return the names of an option.

    Raises:
        BadInput: A name is empty, or is there twice.
    """
    names = [part.strip() for part in text.split(",")] if text else []
    for name in names:
        if not name or names.count(name) > 1:
            problem = f"has {name!r} twice" if name else "has an empty name"
            raise BadInput(f"{option} {text}", problem, expected="a different name for each column")
    return names


def _builder(learn: LearnType, order: list[str]) -> Callable[..., Any]:
    """Return the function that drafts a task from logs."""
    if learn is LearnType.MOTION:
        from kinemill.draft.motion import build_motion

        return partial(build_motion, joints=order)
    if learn is LearnType.IMITATION:
        from kinemill.draft.imitation import build_imitation

        return partial(build_imitation, names=order)
    from kinemill.draft.builder import build

    return partial(build, names=order)


def _required(env: str | None, unused: Mapping[str, object]) -> str:
    fix = "kinemill new NAME --learn reinforcement --env CartPole-v1"
    if env is None:
        raise BadInput("--learn reinforcement", "has no environment", fix=fix)
    for option in (option for option, value in unused.items() if value is not None):
        problem = f"uses no logs, so {option} has no effect"
        raise BadInput("--learn reinforcement", problem, fix=fix)
    return env


def _draft_environment(name: str, env: str, target: Path, task: str) -> Output:
    from kinemill.cli.environment_summary import environment_document, show_environment
    from kinemill.draft.reinforcement import build_reinforcement
    from kinemill.draft.task_file import create_task_file

    checked = build_reinforcement(name, env)
    create_task_file(target, checked.text_in(target.parent))
    return Output(
        {"task": name, "file": str(target), **environment_document(checked)},
        lambda: show_environment(checked),
        f"written to {short_path(str(target))}",
        f"next  kinemill run {task}",
    )


def _refuse(name: str, target: Path) -> None:
    from kinemill.draft.task_file import exists
    from kinemill.task.document import check_task_name

    try:
        check_task_name(name)
    except ValueError as error:
        proposal = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_0123456789")
        fix = f"such as {proposal}" if proposal and proposal != name else "such as my_robot"
        raise BadInput("NAME", str(error), fix=fix) from None
    if target.exists():
        raise exists(target)
    if target.stem != name or target.suffix not in {".yaml", ".yml"}:
        raise BadInput(
            target, "the name of the file must be that of the task", expected=f"{name}.yaml"
        )
