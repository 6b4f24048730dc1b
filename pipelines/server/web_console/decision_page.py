"""Forms for decisions: approve, promote, roll back, and release recordings from quarantine."""

from collections.abc import Sequence
from html import escape

from kinemill.ingest.raw import Reason
from kinemill.register.gate.headline import headline_of
from kinemill.register.versions import CHAMPION, Version
from kinemill.reports.components import mark, name_of, table, value_text
from kinemill.validate.recording_status import RecordingStatus
from kinemill_dagster.pipelines.server.web_console.layout import console_page, without_commands
from kinemill_dagster.resources.links import TASKS


def decision_page(version: Version, champion: int | None) -> str:
    """Return the page with the forms for a version."""
    task = escape(version.task)
    number = version.number
    rows = [
        [
            mark(line.passed, undecided=line.undecided),
            name_of(line.rule),
            value_text(line.value),
            value_text(line.expected),
        ]
        for line in version.gate
    ]
    now = f'<a href="{TASKS}/{task}/{champion}">version {champion}</a>' if champion else "none"
    is_champion = CHAMPION in version.aliases
    forms = [_rollback(version)] if is_champion else _promotion(version, champion)
    sections = [
        f'<header><div><div class="eyebrow">Decision</div><h1>{task} {number}</h1></div>'
        f'<div class="verdict">{escape(version.status)}</div></header>',
        f'<p class="lead">{escape(without_commands(headline_of(version).text))}</p>',
        f"<p>Champion now: {now}. "
        f'<a href="{TASKS}/{task}/{number}">Report of version {number}</a></p>',
        *forms,
        "<h2>Decision of the gate</h2>",
        table(["", "Rule", "Value", "Expected"], rows, fixed=True),
    ]
    return console_page(f"{version.task} {number}: decision", sections, version.task)


def _rollback(version: Version) -> str:
    text = "The champion that this version replaced becomes champion again."
    return "<h2>Roll back</h2>" + _form(
        f"models/{version.task}/rollback",
        {},
        version.number,
        f'<button class="danger">Roll back</button><small>{text}</small>',
    )


def _promotion(version: Version, champion: int | None) -> list[str]:
    """Return the forms for a version that is not champion."""
    path = f"models/{version.task}"
    number: dict[str, int | str] = {"version": version.number}
    override = (
        ""
        if version.decision == CHAMPION
        else '<label><input type="checkbox" name="force"> Override the gate, which did not pass '
        "this version (role admin, with a reason)</label>"
    )
    text = "This version becomes champion at once: robots that follow the alias load it."
    forms = [
        "<h2>Promote</h2>",
        f"<p>{text}</p>",
        _form(f"{path}/promote", number, champion, f"{override}<button>Promote</button>"),
    ]
    if version.decision == CHAMPION:
        return forms
    text = (
        "Your approval is recorded, and the gate runs again. It still refuses a version that "
        "fails another rule than <code>approval</code>."
    )
    controls = (
        '<label><input type="checkbox" name="breaking"> Accept an interface that differs '
        'from the champion\'s</label><button class="plain">Approve</button>'
    )
    return [
        *forms,
        "<h2>Approve</h2>",
        f"<p>{text}</p>",
        _form(f"{path}/approve", number, None, controls),
    ]


def quarantine_page(task: str, held_back: Sequence[RecordingStatus], total: int) -> str:
    """Return the page with the recordings that are held back, and a form for each."""
    rows = [
        [
            f"{name_of(one.member.name)}<br><small>{escape(one.status)}</small>",
            "<br>".join(f"<small>{escape(_spell(reason))}</small>" for reason in one.reasons),
            _form(
                f"tasks/{task}/quarantine",
                {"recording": one.member.hash},
                None,
                '<button class="plain" name="decision" value="release">Release</button>'
                '<button class="danger" name="decision" value="reject">Reject</button>'
                '<button class="plain" name="decision" value="undo">Undo</button>',
                reason="because",
            ),
        ]
        for one in held_back
    ]
    sections = [
        f'<header><div><div class="eyebrow">Quarantine</div><h1>{escape(task)}</h1></div></header>',
        f"<p>{len(rows)} of {total} recordings that are not wholly accepted. A decision counts in "
        "the next run.</p>",
        table(["Recording", "Reasons", "Decision"], rows, fixed=True)
        if rows
        else "<p>No recording is held back.</p>",
    ]
    return console_page(f"{task}: quarantine", sections, task)


def _spell(reason: Reason) -> str:
    channel = f" of {reason['channel']}" if reason["channel"] else ""
    return f"{reason['check']}{channel}, {reason['where']}: {reason['found']}"


def _form(
    path: str,
    values: dict[str, int | str],
    expected: int | None,
    controls: str,
    reason: str = "why",
) -> str:
    """Return a form that the script sends to REST.

    With `expected`, the present champion, a concurrent change is refused.
    """
    hidden = {**values, **({"expected": expected} if expected is not None else {})}
    inputs = "".join(
        f'<input type="hidden" name="{name}" value="{escape(str(value))}" '
        f'data-kind="{"integer" if isinstance(value, int) else "text"}">'
        for name, value in hidden.items()
    )
    return (
        f'<form class="decision" data-path="{escape(path)}">{inputs}'
        f'<label><span>Reason</span><input type="text" name="{reason}" maxlength="2000"></label>'
        f'<p>{controls}</p><p class="message" role="status" aria-live="polite"></p></form>'
    )
