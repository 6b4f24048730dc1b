"""`kinemill config`: all settings of a run and their origin."""

import json
from dataclasses import asdict

import typer

from kinemill.cli.output import JsonOption, Overrides, Presets, TaskName, document


def config(
    task: TaskName,
    overrides: Overrides = None,
    presets: Presets = None,
    as_json: JsonOption = False,
) -> None:
    """Print all settings of a run with their origin.

    Each line has a dotted key, its value, and its origin: a line of the task file, a preset, an
    override, or `default`.

    Example: kinemill config gym:CartPole-v1 --with algorithm=a2c
    """
    from kinemill.task import parse_overrides
    from kinemill.task.origins import settings_with_origin

    settings = settings_with_origin(task, presets or [], parse_overrides(overrides or []))
    if as_json:
        document({"task": task, "settings": [asdict(setting) for setting in settings]})
        return
    lines = [f"{setting.key}: {json.dumps(setting.value)}" for setting in settings]
    width = min(72, max(map(len, lines)))
    for line, setting in zip(lines, settings, strict=True):
        typer.echo(f"{line:<{width}}  # {setting.origin}")
