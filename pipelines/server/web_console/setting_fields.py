"""Form fields of settings: an input with meaning, bounds and today's value for each."""

import json
from collections.abc import Sequence
from html import escape

from kinemill.task.setting_list import Setting


def labeled(name: str, control: str) -> str:
    """Return a control with its label above it; both are HTML."""
    return f"<label><span>{name}</span>{control}</label>"


def setting_group(
    title: str, settings: Sequence[Setting], note: str = "", *, is_open: bool = False
) -> str:
    """Return the settings of a part of a task, which a user can fold; "" without any."""
    if not settings:
        return ""
    ordered = sorted(settings, key=lambda setting: setting.key.count("."))  # those of plug-ins last
    return (
        f"<details{' open' if is_open else ''}><summary>{escape(title)}</summary>"
        f"{f'<p>{note}</p>' if note else ''}"
        f'<div class="settings">{"".join(map(setting_row, ordered))}</div></details>'
    )


def setting_row(setting: Setting, name: str | None = None) -> str:
    """Return the input of a setting with its label, meaning, bounds, and a place for a problem.

    The label is `name`, or its key without the part of the task.
    """
    notes = ". ".join(text for text in (setting.description, setting.bounds) if text)
    label = name or setting.key.partition(".")[2]
    return input_row(setting.key, label, setting_input(setting), notes)


def input_row(key: str, name: str, control: str, notes: str) -> str:
    """Return any input of a dotted key with its label, notes, and a place for a problem."""
    return (
        f'<div class="setting"><label for="setting-{escape(key)}">{escape(name)}</label>{control}'
        f"{problem_place(key)}<small>{escape(notes)}</small></div>"
    )


def problem_place(key: str) -> str:
    """Return the place in which the script writes a problem of a dotted key."""
    return f'<small class="problem" data-problem="{escape(key)}"></small>'


def key_attributes(key: str, kind: str, value: object) -> str:
    """Return the attributes of an input; `data-value` is today's value as JSON."""
    return (
        f'id="setting-{escape(key)}" data-key="{escape(key)}" data-kind="{kind}" '
        f'data-value="{escape(json.dumps(value))}"'
    )


def setting_input(setting: Setting) -> str:
    """Return the input of a setting."""
    common = key_attributes(setting.key, setting.kind, setting.value)
    if setting.kind == "truth":
        return f'<input type="checkbox" {common}{" checked" if setting.value else ""}>'
    if setting.kind == "choice":
        value = "" if setting.value is None else str(setting.value)
        listed = setting.choices if value in setting.choices else (value, *setting.choices)
        return f"<select {common}>{options(listed, value)}</select>"
    value = "" if setting.value is None else escape(str(setting.value))
    if setting.kind == "text":
        return f'<input type="text" {common} value="{value}">'
    bounds = "".join(
        f' {name}="{limit:g}"'
        for name, limit in (("min", setting.low), ("max", setting.high))
        if limit is not None
    )
    step = "1" if setting.kind == "integer" else "any"
    return f'<input type="number" {common} value="{value}" step="{step}"{bounds}>'


def options(values: Sequence[str], selected: str, texts: Sequence[str] = ()) -> str:
    """Return the options of a `select`; `texts` are the labels, by default the values."""
    return "".join(
        f'<option value="{escape(one)}"{" selected" if one == selected else ""}>'
        f"{escape(text)}</option>"
        for one, text in zip(values, texts or values, strict=True)
    )
