"""Page of a draft: a table of its channels with curves, main settings, and conclusions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np
from pydantic import JsonValue

from kinemill.draft.draft_preview import ChannelPreview, DraftPreview
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import table
from kinemill.store import Json
from kinemill.task import MODELS, Task, make_task
from kinemill.task.setting_list import Setting, settings_of
from kinemill_dagster.pipelines.server.rest.documents import DraftDocument
from kinemill_dagster.pipelines.server.web_console.layout import console_page
from kinemill_dagster.pipelines.server.web_console.setting_fields import (
    input_row,
    key_attributes,
    options,
    problem_place,
    setting_group,
    setting_row,
)

_ROLES = ("state", "action", "output", "observation", "reward")
_KINDS = ("linear", "angle", "coordinate", "quaternion")
_RELATIONS = {"": "none", "derivative_of": "derivative", "derived": "computed derivative"}
_UNITS = ("rad", "rad/s", "rad/s^2", "deg", "m", "m/s", "m/s^2", "N", "N*m", "A", "V", "1")
_MAIN = (
    "dt", "learn.budget", "learn.history", "learn.horizon", "learn.steps", "learn.epochs",
    "learn.batch_size", "verify.horizon", "verify.stride", "validate.on_fault",
    "ingest.resample.max_gap",
)  # fmt: skip
_FOLDED = ("learn", "dataset", "validate", "verify", "promote", "ingest")
_SIZE = (260, 120)  # px of a curve
_PORTFOLIO = "the best of a portfolio"
_REASONS = 4  # of a log that are shown


def draft_page(draft: DraftDocument, preview: DraftPreview) -> str:
    """Return the page with the form of a draft."""
    task = make_task(preview.task, web=True)
    logs = "1 log" if len(draft.logs) == 1 else f"{len(draft.logs)} logs"
    channels = [channel.channel for channel in preview.channels]
    sections = [
        f'<header><div><div class="eyebrow">New task</div><h1>{escape(draft.name)}</h1></div>'
        "</header>",
        f"<p>{logs}; learn type {escape(task.learn.type)}. Check each channel: a unit marked "
        f"<b>guess</b> follows from the values, not from the log. Values outside <b>limits</b> are "
        "cut out. An <b>angle</b> is in rad and continues beyond a turn.</p>",
        f'<form class="draft" data-draft="{draft.id}">',
        "<h2>Channels</h2>",
        _channels(preview),
        f'<datalist id="units">{options(_UNITS, "")}</datalist>',
        f'<datalist id="names">{options(channels, "")}</datalist>',
        "<h2>Main settings</h2>",
        f'<div class="settings">{"".join(_main_settings(task))}</div>',
        *_folded(task),
        "<h2>Conclusions of the draft</h2>",
        "<p>From the logs alone: your changes above are not included.</p>",
        _notes(preview),
        "<h2>Check of the logs</h2>",
        f'<div class="results">{_results(preview.files, preview.dataset)}</div>',
        '<div class="actions"><p class="message" role="status" aria-live="polite"></p>'
        '<button type="button" class="plain" data-check>Check logs</button>'
        '<button type="submit">Create, and start a run</button></div>',
        "<p><small>Create writes the task file, puts the logs into the drop folder of the task and "
        "starts a run. It needs the role promoter. The draft is deleted after a day.</small></p>",
        "</form>",
    ]
    return console_page(f"{draft.name}: draft", sections)


def _channels(preview: DraftPreview) -> str:
    channels = preview.task["channels"]
    own: Mapping[str, JsonValue] = channels if isinstance(channels, dict) else {}
    rows = [_row(channel, _mapping(own[channel.channel])) for channel in preview.channels]
    heads = ["Use", "Channel", "Role and kind", "Unit", "Limits", "Relation", "Logs"]
    return f'<div class="channels">{table(heads, rows, fixed=True)}</div>'


def _mapping(value: JsonValue) -> Json:
    return value if isinstance(value, dict) else {}


def _row(one: ChannelPreview, channel: Json) -> list[str]:
    def control(field: str, attributes: str, choices: str | None = None) -> str:
        kind = "input" if choices is None else "select"
        label = f"{field} of {one.channel}"
        return (
            f'<{kind} data-channel="{escape(one.channel)}" data-field="{field}" '
            f'aria-label="{escape(label)}" {attributes}>'
        ) + ("" if choices is None else f"{choices}</select>")

    def problem(field: str) -> str:
        return problem_place(f"channels.{one.channel}.{field}")

    is_medium = not one.seconds and "unit" not in channel
    role = str(channel["role"])
    unit = str(channel.get("unit", ""))
    low, high = channel.get("limits") or ("", "")
    parent = str(channel.get("derivative_of", ""))
    relation = "derivative_of" if parent else ""
    kinds = (
        ""
        if is_medium
        else control("kind", "", options(_KINDS, str(channel.get("kind", "linear"))))
    )
    guess = "<small>guess</small>" if "unit?" in one.comment else ""
    end = 'type="number" step="any"'
    return [
        control("use", 'type="checkbox" checked'),
        control("name", f'value="{escape(one.channel)}" maxlength="200"')
        + f"<small>column {escape(', '.join(one.columns))}</small>{problem('name')}",
        control("role", "", options((role,) if is_medium else _ROLES, role))
        + kinds
        + problem("role"),
        control("unit", f'value="{escape(unit)}" list="units" maxlength="200"')
        + guess
        + problem("unit"),
        '<span class="ends">'
        + control("low", f'{end} value="{low}" placeholder="low"')
        + control("high", f'{end} value="{high}" placeholder="high"')
        + f"</span>{_observed(one)}{problem('limits')}",
        control("relation", "", options([*_RELATIONS], relation, [*_RELATIONS.values()]))
        + control("parent", f'value="{escape(parent)}" list="names" placeholder="of channel"')
        + problem("relation"),
        f"{_curve(one, unit)}<small>{escape('; '.join(one.reasons))}</small>",
    ]


def _observed(one: ChannelPreview) -> str:
    if one.low is None or one.high is None:
        return ""
    return f"<small>in logs {number(one.low)} to {number(one.high)}</small>"


def _curve(one: ChannelPreview, unit: str) -> str:
    if not one.seconds:
        return ""
    line = Line(one.channel, "model", np.array(one.seconds), np.array(one.values))
    labels = (axis_label("time", "s"), axis_label(one.channel, unit))
    return f'<div class="curve">{line_chart([line], labels=labels, size=_SIZE)}</div>'


def _main_settings(task: Task) -> Iterator[str]:
    every = {one.key: one for one in settings_of(task)}
    yield setting_row(every["dt"], "dt")
    model = getattr(task.learn, "model", None)
    types = [*MODELS] if model is None else [model.type, *(one for one in MODELS)]
    values = dict.fromkeys(json.dumps({"type": type_}) for type_ in types)
    texts = [str(json.loads(value)["type"]) for value in values]
    if task.learn.type == "dynamics":
        values = {"null": None, **values}
        texts = [_PORTFOLIO, *texts]
    today = json.dumps({"type": model.type}) if model else "null"
    common = key_attributes("learn.model", "json", json.loads(today))
    control = f"<select {common}>{options([*values], today, texts)}</select>"
    notes = f"architecture; `{_PORTFOLIO}` tries model families within `budget`"
    yield input_row("learn.model", "learn.model", control, notes)
    for key in _MAIN[1:]:
        if key in every:
            yield setting_row(every[key], key)


def _folded(task: Task) -> Iterator[str]:
    """Yield the other settings by part."""
    parts: dict[str, list[Setting]] = {}
    for one in settings_of(task):
        if one.key not in _MAIN and not one.key.startswith("learn.model."):
            parts.setdefault(one.key.partition(".")[0], []).append(one)
    for part in _FOLDED:
        yield setting_group(f"More settings: {part}", parts.get(part, []))


def _notes(preview: DraftPreview) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in preview.notes)
    return f"<ul>{items}</ul>" if items else "<p>Every column but the timestamps is a channel.</p>"


def _results(files: Sequence[Json], dataset: str | None) -> str:
    """Return the findings of a check of the logs, in the format that `console.js` writes."""
    rows = [
        [
            escape(str(file["file"])),
            "accepted" if file["outcome"] == "episodes" else escape(str(file["outcome"])),
            str(file["rows"]),
            str(file["dropped_rows"]),
            "<br>".join(escape(text) for text in _reasons(file["reasons"])),
        ]
        for file in files
    ]
    problem = f'<p class="bad">No model can be trained: {escape(dataset)}</p>' if dataset else ""
    heads = ["Log", "Outcome", "Rows", "Rows cut", "Reasons"]
    return problem + table(heads, rows, fixed=True)


def _reasons(reasons: Sequence[Json]) -> Iterator[str]:
    for reason in reasons[:_REASONS]:
        expected = f", expected {reason['expected']}" if reason["expected"] else ""
        where = f"{reason['channel'] or ''} {reason['where']}"
        yield f"{reason['check']} {where}: {reason['found']}{expected}"
    if len(reasons) > _REASONS:
        yield f"and {len(reasons) - _REASONS} more"
