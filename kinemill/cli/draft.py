"""`kinemill new`: draft a task file from logs, clips or an environment."""

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, document
from kinemill.errors import BadInput
from kinemill.store.project import tasks_folder


class LearnType(StrEnum):
    """Learn types that can be drafted."""

    DYNAMICS = "dynamics"
    IMITATION = "imitation"
    MOTION = "motion"
    REINFORCEMENT = "reinforcement"


@dataclass(frozen=True)
class _Output:
    """Output of a draft: file, name of the task in commands, and form of the conclusions."""

    target: Path
    task: str
    as_json: bool


@dataclass(frozen=True)
class _Logs:
    """Logs of a draft, their rate in Hz, a robot file, and the order of joints without names."""

    log: Path
    rate: float | None
    robot: Path | None
    joints: list[str]


def new(
    name: Annotated[str, typer.Argument(help="Task name: lower case letters, digits and _.")],
    log: Annotated[
        Path | None, typer.Option("--from", help="Log, clip or demonstration, or a folder of them.")
    ] = None,
    learn: Annotated[
        LearnType, typer.Option("--learn", help="What to learn.")
    ] = LearnType.DYNAMICS,
    env: Annotated[
        str | None,
        typer.Option("--env", help="Gymnasium id, MJCF file, or file.py:Class (reinforcement)."),
    ] = None,
    robot: Annotated[
        Path | None, typer.Option("--robot", help="URDF or MJCF file with the joint limits.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="File to write; default: NAME.yaml in the tasks folder."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=1e-6, help="Rate of the rows, or of the task, in Hz."),
    ] = None,
    joints: Annotated[
        str | None, typer.Option("--joints", help="Names of unnamed joints, in order: a,b,c.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show facts and the deciding rule per column.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a task file from logs, clips or an environment.

    Shows channels, roles, units, derivatives and ranges with the reason for each, and checks
    the logs with the draft. Writes the JSON schema for editors to the same folder.

    Example: kinemill new my_robot --from logs/run1.csv
    """
    target = (to or tasks_folder() / f"{name}.yaml").absolute()
    _refuse(name, target)
    output = _Output(target, str(to or name), as_json)
    if learn is LearnType.REINFORCEMENT:
        _draft_environment(name, _required(env, log, robot), output)
        return
    if log is None or env is not None:
        fix = f"kinemill new {name} --learn {learn.value} --from FOLDER"
        problem = "has no logs" if log is None else "has an environment"
        raise _usage(f"--learn {learn.value}", problem, fix)
    if joints and learn is not LearnType.MOTION:
        problem = "names no joints, so --joints has no effect"
        raise _usage(f"--learn {learn.value}", problem, "omit it, or use --learn motion")
    order = [joint.strip() for joint in joints.split(",")] if joints else []
    _draft_logs(name, learn, _Logs(log, rate, robot, order), output, explain=explain)


def _required(env: str | None, log: Path | None, robot: Path | None) -> str:
    fix = "kinemill new NAME --learn reinforcement --env CartPole-v1"
    if env is None:
        raise _usage("--learn reinforcement", "has no environment", fix)
    if log is not None or robot is not None:
        option = "--from" if log is not None else "--robot"
        raise _usage("--learn reinforcement", f"uses no logs, so {option} has no effect", fix)
    return env


def _usage(where: str, problem: str, fix: str) -> Exception:
    return BadInput(where, problem, fix=fix)


def _draft_logs(
    name: str,
    learn: LearnType,
    source: _Logs,
    output: _Output,
    *,
    explain: bool,
) -> None:
    """Draft a task from logs."""
    from kinemill.cli.draft_summary import (
        draft_document,
        show_draft,
        show_facts,
        warn_of_losses,
    )
    from kinemill.draft.draft_check import check_draft
    from kinemill.draft.robot_file import read_robot
    from kinemill.draft.task_file import create_task_file

    if learn is LearnType.MOTION:
        from kinemill.draft.motion import build_motion

        build = partial(build_motion, joints=source.joints)
    elif learn is LearnType.IMITATION:
        from kinemill.draft.imitation import build_imitation as build
    else:
        from kinemill.draft.builder import build
    log = source.log
    robot = read_robot(source.robot) if source.robot else None
    checked = check_draft(build(name, log, source.rate, robot))
    create_task_file(output.target, checked.text)
    if output.as_json:
        document({"task": name, "file": str(output.target), **draft_document(checked)})
    else:
        show_draft(checked)
        if explain:
            show_facts(checked.draft)
        command = f"kinemill run {output.task} --logs {shlex.quote(str(log))}"
        typer.echo(f"written to {output.target}; correct what is wrong in it")
        typer.echo(f"next  {command}")
    warn_of_losses(checked)


def _draft_environment(name: str, env: str, output: _Output) -> None:
    from kinemill.cli.environment_summary import environment_document, show_environment
    from kinemill.draft.reinforcement import build_reinforcement
    from kinemill.draft.task_file import create_task_file

    checked = build_reinforcement(name, env)
    create_task_file(output.target, checked.text_in(output.target.parent))
    if output.as_json:
        document({"task": name, "file": str(output.target), **environment_document(checked)})
        return
    show_environment(checked)
    typer.echo(f"written to {output.target}")
    typer.echo(f"next  kinemill run {output.task}")


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
