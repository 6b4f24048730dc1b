"""Task file of a draft: its text with comments, and the new file in the folder of tasks."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from kinemill.errors import BadInput, KinemillError
from kinemill.store import Json, aside_of, publish_json
from kinemill.store.atomic_write import link_new
from kinemill.task.schema import SCHEMA_FILE, task_schema
from kinemill.task.yaml import dump_line, dump_yaml, scalar

_LINE = 100  # characters of a part of a task that stays on one line


def spell_task(value: Json, comments: Mapping[str, str], heading: Sequence[str] = ()) -> str:
    """Return the text of a task file: one line per channel.

    Args:
        value: content of the task file.
        comments: comment by channel; line breaks become spaces.
        heading: lines at the start, without `#`.

    Raises:
        KinemillError: The text does not read as `value`.
    """
    lines = [f"# {plain_line(text)}" for text in heading]
    for key, part in value.items():
        if key == "channels" and isinstance(part, dict):
            lines += ["channels:", *_channels(cast(Json, part), comments)]
        elif len(line := dump_line({key: part})[1:-1]) <= _LINE:
            lines.append(line)
        else:
            lines += dump_yaml({key: part}).splitlines()
    text = "\n".join(lines) + "\n"
    if scalar(text) != value:
        raise KinemillError(f"task {value.get('task')}", "cannot be spelled as a task file")
    return text


def create_task_file(target: Path, text: str) -> None:
    """Write a new task file, and the schema for editors next to it.

    Raises:
        BadInput: The file exists; it is never replaced.
        KinemillError: The folder cannot be written.
    """
    header = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
    try:
        aside = aside_of(target)
        try:
            aside.write_text(f"{header}{text}", encoding="utf-8")
            link_new(aside, target)
        finally:
            aside.unlink(missing_ok=True)
        publish_json(target.with_name(SCHEMA_FILE), task_schema())
    except FileExistsError as error:
        raise exists(target) from error
    except OSError as error:
        raise KinemillError(target, f"cannot be written: {error.strerror or error}") from error


def exists(target: Path) -> BadInput:
    """Return the error for an existing task file."""
    fix = "choose another name, or another file with --to"
    return BadInput(target, "exists already", fix=fix)


def _channels(channels: Json, comments: Mapping[str, str]) -> list[str]:
    return [
        f"  {dump_line({name: channel})[1:-1]}"
        + (f"  # {plain_line(comments[name])}" if comments.get(name) else "")
        for name, channel in channels.items()
    ]


def plain_line(text: str) -> str:
    """Return the text of a comment without line breaks and control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in re.sub(r"\s+", " ", text))
