"""Output of commands: one JSON document or a table on stdout, messages on stderr."""

import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from kinemill.cli.completion import complete_model, complete_task
from kinemill.errors import BadInput
from kinemill.reports.control_characters import escape_controls
from kinemill.store import Home, Json

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of lines.")]
Offset = Annotated[int, typer.Option("--offset", min=0, help="Number of lines to skip.")]
NOT_FINITE = "not finite"
PIPED = 160  # columns of text


def task_or_draft(name: str) -> str:
    """Return a task name or path; for `gym:ID` the path of its draft."""
    if not name.startswith("gym:"):
        return name
    from kinemill.draft.environment_tasks import drafted_task

    return str(drafted_task(name, Home.resolve()))


TaskName = Annotated[
    str,
    typer.Argument(
        help="Task name, path of a task file, or gym:ID of an environment.",
        autocompletion=complete_task,
        callback=task_or_draft,
    ),
]
Logs = Annotated[
    Path | None, typer.Option("--logs", help="Log or folder of logs; default: the drop folder.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key, for example learn.history=12; @FILE reads many.",
    ),
]
Presets = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="PART=PRESET", help="Use a preset, for example model=small; see presets/."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Resume the stopped training, or report changes.")
]


def logs_path(logs: Path, option: str = "") -> Path:
    """Return the absolute path of a log or a folder of logs.

    Raises:
        BadInput: The path does not exist, or cannot be resolved.
    """
    where = f"{option} {logs}".strip()
    from kinemill.ingest.files import advice_on_path

    fix = advice_on_path(logs)
    try:
        logs.stat()
    except FileNotFoundError as error:
        raise BadInput(where, "is not there", fix=fix) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BadInput(where, f"cannot be read: {why}", fix=fix) from error
    return logs.resolve()


def changes(task: str, presets: list[str] | None, overrides: list[str] | None) -> Json:
    """Return the overrides of `--with` and `--set` for a task; the latter take precedence."""
    from kinemill.task import load_task, parse_overrides
    from kinemill.task.presets import preset_overrides

    named = preset_overrides(presets, load_task(task)) if presets else {}
    return named | parse_overrides(overrides or [])


class Table(NamedTuple):
    """Rows under headings; a row is a list of cells, or a mapping by column."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object] | Mapping[str, object]]


class Output:
    """Result of a command.

    Args:
        document: JSON object or dataclass that `--json` prints.
        parts: without `--json`: texts, tables, and functions that print.
        exit_code: exit code of the command.
    """

    def __init__(
        self, document: object, *parts: str | Table | Callable[[], object], exit_code: int = 0
    ) -> None:
        self.document = document
        self.parts = parts
        self.exit_code = exit_code

    def print(self, *, as_json: bool) -> None:
        """Print the document or the parts; exit if the code is not 0."""
        if as_json:
            document(self.document)
        for part in () if as_json else self.parts:
            if isinstance(part, Table):
                table(*part)
            elif isinstance(part, str):
                typer.echo(part)
            else:
                part()
        if self.exit_code:
            raise typer.Exit(self.exit_code)


def document(value: object) -> None:
    """Write one JSON document to stdout: an object of JSON values, or a dataclass."""
    if not isinstance(value, Mapping):
        from kinemill.store import to_json_value

        value = to_json_value(value)
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def notify(*messages: str) -> None:
    """Write messages to stderr, a line each."""
    for message in messages:
        typer.echo(escape_controls(message, lines=True), err=True)


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object] | Mapping[str, object]]
) -> None:
    """Print rows under headings; numbers have three digits, None is blank."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(
        title=escape_controls(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_header=any(columns),
    )
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        cells = [row.get(name) for name in columns] if isinstance(row, Mapping) else row
        drawn.add_row(*map(_drawn, cells))
    console = Console()
    if not console.is_terminal:  # files and pipes have no width
        console.width = max(console.width, PIPED)
    console.print(drawn)


class Bad(str):
    """Text of a cell with a problem, red on a terminal with colors."""


def _drawn(cell: object) -> Any:
    from rich.text import Text

    # Not a plain string: its brackets would be markup, and `kinemill[cpu]` lose its extra.
    return Text(escape_controls(spell(cell)), style="bold red" if isinstance(cell, Bad) else "")


def wrap_text(text: str) -> str:
    """Wrap a sentence at the width of a terminal; one line in a pipe."""
    from rich.console import Console

    console = Console()
    return textwrap.fill(text, console.width) if console.is_terminal else text


def short_path(path: str) -> str:
    """Return a path relative to the folder of the terminal if it is inside."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def spell(cell: object) -> str:
    """Return a cell as text."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return quantity(cell)
    return "" if cell is None else str(cell)


def quantity(value: float | None, digits: int = 3) -> str:
    """Return a measured number as text, from 1,000 on with all digits; None is "not finite"."""
    if value is None or not math.isfinite(value):
        return NOT_FINITE
    if 1e3 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def spell_ends(ends: Sequence[float | None], unknown: str = "no interval") -> str:
    """Return the ends of an interval as text; `unknown` if an end is not finite."""
    if any(end is None or not math.isfinite(end) for end in ends):
        return unknown
    return " to ".join(quantity(end) for end in ends)


def interval(ends: Sequence[float | None]) -> str:
    """Return a 95 % interval as text; "no interval" if an end is not finite."""
    text = spell_ends(ends, "")
    return f"95 % interval {text}" if text else "no interval"


ModelName = Annotated[
    str,
    typer.Argument(
        metavar="TASK[@ALIAS|:VERSION]",
        help="Default: the champion, else the newest version.",
        autocompletion=complete_model,
    ),
]
ModelFolder = Annotated[
    Path | None,
    typer.Option("--model", help="Exported model folder, instead of a registered version."),
]
