"""Form to start a run: presets, logs, and every scalar setting of the task with its bounds."""

from collections.abc import Iterator
from html import escape

from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.gate_settings import GATE
from kinemill.task.presets import list_presets, preset_overrides
from kinemill.task.setting_list import settings_of
from kinemill_dagster.pipelines.server.web_console.layout import console_page
from kinemill_dagster.pipelines.server.web_console.log_picker import picker
from kinemill_dagster.pipelines.server.web_console.setting_fields import labeled, setting_group

_PARTS = ("learn", "dataset", "verify", "promote")
_OF_A_MODEL = {"learn.steps", "learn.epochs"}
_NOTE = "Changes of this part need the role promoter."


def run_form(task: Task, home: Home) -> str:
    """Return the page with the form of a task."""
    sections = [
        f'<header><div><div class="eyebrow">Start a run</div><h1>{escape(task.name)}</h1></div>'
        "</header>",
        f"<p>{escape(task.description or '')}</p>",
        f'<form class="run" data-task="{escape(task.name)}">',
        '<div class="fields">',
        *_presets(task),
        labeled(
            "Priority", '<input type="number" name="priority" value="0" min="-1000" max="1000">'
        ),
        labeled("Resume the training that stopped", '<input type="checkbox" name="resume">'),
        "</div>",
        picker(task, home),
        *(_part(task, part) for part in _PARTS),
        '<p class="message" role="status" aria-live="polite"></p>',
        '<button type="submit">Start the run</button>',
        "</form>",
    ]
    return console_page(f"{task.name}: start a run", sections, task.name)


def _presets(task: Task) -> Iterator[str]:
    """Yield a choice for each part with presets that set what the task has."""
    for part, paths in list_presets().items():
        names = [name for name in paths if _is_applicable(task, f"{part}={name}")]
        if not names:
            continue
        options = "".join(f"<option>{escape(name)}</option>" for name in names)
        control = f'<select data-preset="{escape(part)}"><option></option>{options}</select>'
        yield labeled(f"Preset for {escape(part)}", control)


def _is_applicable(task: Task, preset: str) -> bool:
    """Return whether a task has all settings that a preset changes."""
    keys = {tuple(key.split(".")[:2]) for key in preset_overrides([preset])}
    parts = [(getattr(task, part, None), name) for part, name in keys]
    return all(part is not None and hasattr(part, name) for part, name in parts)


def _part(task: Task, part: str) -> str:
    settings = list(settings_of(getattr(task, part), f"{part}."))
    if getattr(task.learn, "model", True) is None:  # a portfolio trains until its budget ends
        settings = [one for one in settings if one.key not in _OF_A_MODEL]
        settings.sort(key=lambda one: one.key != "learn.budget")
    note = _NOTE if part in GATE else ""
    return setting_group(part, settings, note, is_open=part == "learn")
