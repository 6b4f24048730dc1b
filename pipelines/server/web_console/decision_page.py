"""Forms for decisions: approve, promote, roll back, and release recordings from quarantine."""

from collections.abc import Sequence
from html import escape

from kinemill.ingest.raw import Reason
from kinemill.register.gate.headline import headline_of
from kinemill.register.versions import CHAMPION, Version
from kinemill.reports.components import mark, name_of, table
from kinemill.validate.recording_status import RecordingStatus
from kinemill_dagster.pipelines.server.web_console.layout import console_page
from kinemill_dagster.resources.links import TASKS


def decision_page(version: Version, champion: int | None) -> str:
    """Return the page with the forms for a version."""
    task = escape(version.task)
    number = version.number
    is_champion = CHAMPION in version.aliases
    rules = [
        [mark(line.passed), name_of(line.rule), escape(str(line.value)), escape(str(line.expected))]
        for line in version.gate
    ]
    now = f"version {champion}" if champion else "none"
    sections = [
        f'<header><div><div class="eyebrow">Decision</div><h1>{task} {number}</h1></div>'
        f'<div class="verdict">{escape(version.status)}</div></header>',
        f'<p class="lead">{escape(headline_of(version).text)}</p>',
        f'<p>Champion: {now}. <a href="{TASKS}/{task}/{number}">Report of this version</a></p>',
        _form(
            f"models/{version.task}/{'rollback' if is_champion else 'promote'}",
            {} if is_champion else {"version": number},
            champion,
            [
                '<button class="danger">Roll back to the champion before</button>'
                if is_champion
                else "<button>Promote</button>"
                '<label><input type="checkbox" name="force"> Override a refusal of the gate '
                "(role admin, with a reason)</label>"
            ],
        ),
        ""
        if is_champion
        else _form(
            f"models/{version.task}/approve",
            {"version": number},
            None,
            [
                '<button class="plain">Approve, and run the gate again</button>'
                '<label><input type="checkbox" name="breaking"> Accept an interface that differs '
                "from the champion's</label>"
            ],
        ),
        "<h2>Decision of the gate</h2>",
        table(["", "Rule", "Value", "Expected"], rules, fixed=True),
    ]
    return console_page(f"{version.task} {number}: decision", sections)


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
                [
                    '<button class="plain" name="decision" value="release">Release</button>'
                    '<button class="danger" name="decision" value="reject">Reject</button>'
                    '<button class="plain" name="decision" value="undo">Undo</button>'
                ],
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
    return console_page(f"{task}: quarantine", sections)


def _spell(reason: Reason) -> str:
    channel = f" of {reason['channel']}" if reason["channel"] else ""
    return f"{reason['check']}{channel}, {reason['where']}: {reason['found']}"


def _form(
    path: str,
    values: dict[str, int | str],
    expected: int | None,
    controls: list[str],
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
        f'<p>{"".join(controls)}</p><p class="message" role="status" aria-live="polite"></p></form>'
    )
