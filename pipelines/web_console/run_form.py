"""Form to start a run: presets, logs, and every scalar setting of the task with its bounds."""

import json
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from kinemill.ingest.files import drop_folder
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.presets import list_presets
from kinemill.task.setting_list import Setting, settings_of
from kinemill_dagster.pipelines.web_console.layout import console_page

_PARTS = ("learn", "dataset", "verify", "promote")
_GATE = "Changes of this part need the role promoter."
_LISTED = 200  # files and folders of the drop folder that are offered


def run_form(task: Task, home: Home) -> str:
    """Return the page with the form of a task."""
    sections = [
        f'<header><div><div class="eyebrow">Start a run</div><h1>{escape(task.name)}</h1></div>'
        "</header>",
        f"<p>{escape(task.description or '')}</p>",
        f'<form class="run" data-task="{escape(task.name)}">',
        '<div class="fields">',
        *_presets(),
        _logs(drop_folder(task, home)),
        _field(
            "Priority", '<input type="number" name="priority" value="0" min="-1000" max="1000">'
        ),
        _field("Resume the training that stopped", '<input type="checkbox" name="resume">'),
        "</div>",
        *(_part(task, part) for part in _PARTS),
        '<p class="message" role="status" aria-live="polite"></p>',
        '<button type="submit">Start the run</button>',
        "</form>",
    ]
    return console_page(f"{task.name}: start a run", sections)


def _presets() -> Iterator[str]:
    for part, names in list_presets().items():
        options = "".join(f"<option>{escape(name)}</option>" for name in names)
        control = f'<select data-preset="{escape(part)}"><option></option>{options}</select>'
        yield _field(f"Preset for {escape(part)}", control)


def _logs(folder: Path) -> str:
    names = sorted(path.name for path in _entries(folder))
    options = "".join(f"<option>{escape(name)}</option>" for name in names[:_LISTED])
    hint = "all of the drop folder"
    control = (
        f'<input name="logs" list="logs" placeholder="{hint}"><datalist id="logs">{options}'
        "</datalist>"
    )
    return _field("Logs", control)


def _entries(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        return []
    return (path for path in folder.iterdir() if not path.name.startswith("."))


def _part(task: Task, part: str) -> str:
    settings = list(settings_of(getattr(task, part), f"{part}."))
    settings.sort(key=lambda one: one.key.count("."))  # those of plug-ins last
    if not settings:
        return ""
    note = f"<p>{_GATE}</p>" if part in ("verify", "promote") else ""
    opened = " open" if part == "learn" else ""
    rows = "".join(_row(setting) for setting in settings)
    return (
        f"<details{opened}><summary>{escape(part)}</summary>{note}"
        f'<div class="settings">{rows}</div></details>'
    )


def _row(setting: Setting) -> str:
    name = setting.key.partition(".")[2]
    notes = ". ".join(text for text in (setting.description, setting.bounds) if text)
    identity = f"setting-{setting.key}"
    return (
        f'<div class="setting"><label for="{escape(identity)}">{escape(name)}</label>'
        f"{_control(setting, identity)}<small>{escape(notes)}</small></div>"
    )


def _control(setting: Setting, identity: str) -> str:
    """Return the input of a setting; `data-value` is today's value as JSON."""
    common = (
        f'id="{escape(identity)}" data-key="{escape(setting.key)}" data-kind="{setting.kind}" '
        f'data-value="{escape(json.dumps(setting.value))}"'
    )
    if setting.kind == "truth":
        return f'<input type="checkbox" {common}{" checked" if setting.value else ""}>'
    if setting.kind == "choice":
        return f"<select {common}>{_options(setting.choices, setting.value)}</select>"
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


def _options(choices: Sequence[str], value: object) -> str:
    listed = choices if value in choices else ("" if value is None else str(value), *choices)
    return "".join(
        f"<option{' selected' if one == value else ''}>{escape(one)}</option>" for one in listed
    )


def _field(name: str, control: str) -> str:
    return f"<label><span>{name}</span>{control}</label>"
