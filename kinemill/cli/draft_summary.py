"""Summary of a draft: a table of its channels, and rows that its logs lose."""

import typer

from kinemill.cli.log_results import show_files
from kinemill.cli.output import notify, table
from kinemill.draft.column import fold_names
from kinemill.draft.draft_check import CheckedDraft
from kinemill.draft.rules import copies_in, facts_of
from kinemill.draft.table import Reason, rule_of
from kinemill.draft.task_draft_writer import Draft
from kinemill.errors import join_first
from kinemill.reports.control_characters import escape_controls

MOST_NAMES = 8  # most logs that are named
_HEADINGS = ("channel", "role", "unit", "derivative of", "range", "missing", "reason")


def draft_document(checked: CheckedDraft) -> dict[str, object]:
    """Return the conclusions of a draft as JSON."""
    task = checked.task
    columns = checked.draft.columns
    return {
        "dt": task.dt,
        "states": task.states,
        "actions": task.actions,
        "guesses": {c.channel: "; ".join(c.reasons) for c in columns if not c.sure or c.notes},
        "channels": [dict(zip(_HEADINGS, line, strict=True)) for line in _lines(checked.draft)],
        "media": [
            {"channel": medium.channel, "role": medium.role, "source": medium.source}
            for medium in checked.draft.media
        ],
        "joints": [vars(joint) for joint in checked.draft.joints],
        "clock": checked.draft.clock_line,
        "remarks": checked.draft.remarks,
        "left_out": checked.draft.left_out,
        "logs": checked.entries,
        "problem": checked.problem or None,
    }


def _lines(draft: Draft) -> list[tuple[str, ...]]:
    """Return the conclusions for each channel."""
    channels = {column.guess.name: column.channel for column in draft.columns}
    return [
        (
            column.channel,
            column.role,
            column.unit if column.sure else f"{column.unit}?",
            channels.get(column.derivative_of or "", ""),
            column.spelled_range,
            f"{column.missing:.1%}" if column.missing else "",
            "; ".join(column.reasons),
        )
        for column in draft.columns
    ] + [
        (medium.channel, medium.role, "", "", "", "", "; ".join(medium.notes))
        for medium in draft.media
    ]


def show_facts(draft: Draft) -> None:
    """Print the facts of each column of the first log, and the rule that decided about it."""
    decided = {
        name: (column.rule, f"{column.role} {column.channel}: {'; '.join(column.reasons)}")
        for column in draft.columns
        for name in column.names
    }
    rows = list[tuple[str, ...]]()
    for facts in facts_of(draft.tables[0], copies_in(draft.tables)):
        why = draft.left_out.get(facts.name, Reason("of another part", "part"))
        rule, decision = decided.get(facts.name, (rule_of(why), why))
        rows.append((facts.name, rule, decision, str(facts)))
    table("facts and rules", ("column", "rule", "decision", "facts"), rows)


def show_draft(checked: CheckedDraft) -> None:
    """Print the conclusions of a draft, and the results of its checks on the logs."""
    draft = checked.draft
    logs = "1 log" if len(draft.logs) == 1 else f"{len(draft.logs)} logs"
    title = f"{draft.name}: dt {draft.dt:g} s, {logs}"
    table(title, _HEADINGS, _lines(draft))
    for remark in (draft.clock_line, *draft.remarks):
        typer.echo(f"  {escape_controls(remark)}")
    if draft.joints:
        rows = [(joint.joint, joint.channel, joint.limits, joint.finding) for joint in draft.joints]
        table("joints of the robot file", ("joint", "channel", "limits", "finding"), rows)
    by_reason: dict[str, list[str]] = {}
    for column, why in draft.left_out.items():
        by_reason.setdefault(why, []).append(column)
    if by_reason:
        rows = [(why, ", ".join(fold_names(n))) for why, n in by_reason.items()]
        table("left out", ("reason", "columns"), rows)
    if draft.no_action_line:
        notify(draft.no_action_line)
    for file, why in draft.unused.items():
        notify(f"log not used: {escape_controls(file)}: {escape_controls(why)}")
    show_files("check of these logs with the draft", checked.entries)


def warn_of_losses(checked: CheckedDraft) -> int:
    """Warn of logs that lose rows; return the exit code, 1 if no log is accepted."""
    total = len(checked.entries)
    for check, why in checked.draft.warned.items():
        notify(f"validate.{check} only warns: {why}; check the channels that it names")
    if checked.cut:
        most = max(log["dropped_rows"] / (log["dropped_rows"] + log["rows"]) for log in checked.cut)
        share = f"at most {max(most, 0.001):.1%} of one log"
        notify(f"{len(checked.cut)} of {total} logs lose rows, {share}, for the reasons above")
    if checked.refused:
        refused = [str(entry["file"]).rpartition("/")[2] for entry in checked.refused]
        names = escape_controls(join_first(refused, MOST_NAMES))
        notify(f"{len(checked.refused)} of {total} logs would be quarantined: {names}")
    if checked.problem:
        notify(f"no model can be trained on these logs: {escape_controls(checked.problem)}")
    return int(total > 0 and len(checked.refused) == total)
