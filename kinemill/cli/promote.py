"""Gate commands: why, approve, trials, promote, rollback and audit."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.completion import complete_model
from kinemill.cli.output import Output, Table, TaskName, notify, wrap_text
from kinemill.store import Home, Json, from_json_value

_REFUSED = 1

VersionName = Annotated[
    str,
    typer.Argument(
        metavar="TASK:VERSION",
        help="Version: TASK:3 or TASK@challenger.",
        autocompletion=complete_model,
    ),
]
Why = Annotated[str, typer.Option("--why", help="Reason, written to the audit log.")]
Expected = Annotated[
    int | None, typer.Option("--expect", help="Fail if this version is not the current champion.")
]


def why(
    model: Annotated[str, typer.Argument(metavar="TASK[:VERSION]", autocompletion=complete_model)],
) -> Output:
    """Explain why a version is champion or was refused.

    Lists the result of every gate rule, with fixes of failed rules.

    Example: kinemill model why my_robot:3

    Args:
        model: Default: the newest version.
    """
    from kinemill.api.models import address_of
    from kinemill.cli.summary import candidates_table, gate_table
    from kinemill.register.gate.report import why as look
    from kinemill.register.verdict import Verdict
    from kinemill.task.portfolio import CandidateResult

    task, which = address_of(model)
    report = look(Home.resolve(), task.name, which)
    texts = list[str]()
    if trials := report["trials"]:
        low, high = trials["interval"]
        counts = f"{trials['successes']} of {trials['of']} (95 %: {low:.1%} to {high:.1%})"
        text = f"trials on the robot: {counts}, by {trials['who']}, {trials['at']}"
        texts.append(f"{text}: {trials['note']}".rstrip(": "))
    candidates = from_json_value(report["candidates"], list[CandidateResult], Path("why"))
    gate = from_json_value(report["gate"], list[Verdict], Path("gate"))
    version = f"{report['task']}:{report['version']}"
    return Output(
        report,
        wrap_text(report["headline"]),
        *([wrap_text(f"{version}  {text}")] if (text := report["explanation"]) else []),
        lambda: print_causes(report["causes"], version),
        *map(wrap_text, texts),
        lambda: candidates_table(candidates, report["untested"]),
        *([wrap_text(report["selected"])] if report["selected"] else []),
        lambda: gate_table(gate),
        *([f"report  kinemill model report {version} --to FILE"] if report["report"] else []),
    )


def approve(
    model: VersionName,
    breaking: bool = False,
    reason: Why = "",
) -> Output:
    """Approve a version and run the gate again.

    The exit code is 1 if the gate still refuses it.

    Example: kinemill model approve my_robot:3 --why 'tested on the robot'

    Args:
        breaking: Accept an interface that differs from the champion's.
    """
    from kinemill.api.models import address_of
    from kinemill.cli.version_tables import champion_change
    from kinemill.register.promotion import approve as agree

    task, which = address_of(model)
    change = agree(task, Home.resolve(), which, breaking=breaking, why=reason)
    return champion_change(change, 0 if "champion" in change.aliases else _REFUSED)


def trials(
    model: VersionName,
    success: Annotated[int, typer.Option()],
    of: Annotated[int, typer.Option()],
    note: str = "",
) -> Output:
    """Record counted trials on a robot and run the gate again.

    The last record of a version counts: after further trials, give the total.

    Example: kinemill model trials my_robot:3 --success 17 --of 20

    Args:
        success: Number of successful trials.
        of: Number of trials.
        note: Text for the audit log.
    """
    from kinemill.api.registry import record_trials
    from kinemill.cli.version_tables import champion_change
    from kinemill.register.verdict import is_of

    change = record_trials(model, success=success, of=of, note=note)
    if not any(is_of("trials", line.rule) for line in change.gate):
        notify(
            "recorded, and no rule counts them: the version was registered without "
            "promote.min_success, and no champion has trials to compare with"
        )
    return champion_change(change)


def promote(
    model: VersionName,
    expect: Expected = None,
    force: bool = False,
    reason: Why = "",
) -> Output:
    """Make a version champion.

    A version that the gate refused needs --force and --why.

    Example: kinemill model promote my_robot:3

    Args:
        force: Override a refusal of the gate; needs --why.
    """
    from kinemill.api.registry import promote as move
    from kinemill.cli.version_tables import champion_change

    return champion_change(move(model, force=force, why=reason, expect=expect))


def rollback(
    task: TaskName,
    to: int | None = None,
    expect: Expected = None,
    reason: Why = "",
) -> Output:
    """Roll back to the previous champion.

    Example: kinemill model rollback my_robot --why 'it shakes'

    Args:
        to: Version; default: the previous champion.
    """
    from kinemill.api.registry import rollback as move
    from kinemill.cli.version_tables import champion_change

    return champion_change(move(task, to=to, why=reason, expect=expect))


def audit(task: TaskName) -> Output:
    """List every change of champion: who, when and why.

    A champion that was moved in MLflow is listed, too.

    Example: kinemill model audit my_robot
    """
    from kinemill.register.alias_switch import audit as look
    from kinemill.task import task_name

    history = look(Home.resolve(), task_name(task))
    columns = ["at", "who", "what", "version", "previous", "why"]
    rows = [vars(event) | {"what": event.label} for event in history.events]
    title = f"{history.task}, champion: {history.champion or 'none'}"
    return Output(history, Table(title, columns, rows))


def print_causes(causes: list[Json], version: str) -> None:
    """Print the causes of the refusal of a version by rank, then their consequences.

    Rules with the same fix are one cause.
    """
    by_fix = dict[str, list[str]]()
    by_root = dict[str, list[str]]()
    for line in causes:
        group, key = (by_root, line["follows"]) if line["follows"] else (by_fix, line["fix"])
        group.setdefault(key, []).append(line["rule"])
    for rank, (fix, rules) in enumerate(by_fix.items(), 1):
        advice = fix.replace("TASK:VERSION", version)
        typer.echo(wrap_text(f"{rank}. {', '.join(rules)}: {advice}"))
    for root, rules in by_root.items():
        typer.echo(wrap_text(f"   because of {root} also: {', '.join(rules)}"))
