"""Tables of log results: one line per log, then its problems and their fixes."""

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

import typer

from kinemill.reports.control_characters import escape_controls
from kinemill.store import Json

MOST_REASONS = 4  # most reasons per log; `kinemill data show` prints all
PER_CHECK = 2  # most full reasons per check in a list of several logs
NARROWEST = 60
WIDEST = 120  # columns of text
_WIDTH = 12  # columns
_ACCEPTED = {"episodes": "accepted"}  # outcomes of logs, which can have several episodes


def show_files(title: str, files: Sequence[Json]) -> None:
    """Print the outcome of each log, its first reasons, and the number of logs per outcome.

    A finding in many logs is printed in full for the first log, and counted for the others.
    """
    typer.echo(title)
    printed = Counter[str]()
    most_per_check = PER_CHECK if len(files) > 1 else MOST_REASONS
    for file, same in _groups(files):
        more = f" and {same} more with the same problem" if same else ""
        name = escape_controls(file["file"])
        typer.echo(f"{file['outcome']:<{_WIDTH}} {name}{more}{_size(file)}")
        reasons = sorted(
            file["reasons"], key=lambda reason: printed[reason["check"]] >= most_per_check
        )
        unprinted = sum(printed[reason["check"]] < most_per_check for reason in reasons)
        most = max(min(unprinted, MOST_REASONS), 0 if file["episodes"] else 1)
        printed.update(reason["check"] for reason in reasons[:most])
        show_reasons(reasons, most)
    counted = Counter(_ACCEPTED.get(file["outcome"], file["outcome"]) for file in files)
    text = ", ".join(f"{count} {result}" for result, count in sorted(counted.items()))
    logs = "1 log" if len(files) == 1 else f"{len(files)} logs"
    typer.echo(f"{logs}{': ' if text else ''}{text}")


def _groups(files: Sequence[Json]) -> Iterator[tuple[Json, int]]:
    """Yield logs with the number of later ones that were refused for the same reasons."""
    refused = Counter(_key(file) for file in files if not file["episodes"])
    for file in files:
        count = 1 if file["episodes"] else refused.pop(_key(file), 0)
        if count:
            yield file, count - 1


def _key(file: Json) -> str:
    return "\n".join([file["outcome"], *map(spell_reason, file["reasons"])])


def _size(file: Json) -> str:
    if not file["episodes"]:
        return ""
    episodes = "1 episode" if file["episodes"] == 1 else f"{file['episodes']} episodes"
    return f": {episodes}, {file['rows']} rows"


def show_reasons(reasons: Sequence[Json], most: int | None = None) -> None:
    """Print reasons as indented paragraphs; count those beyond `most` by check."""
    listed = reasons if most is None or (most and len(reasons) <= most + 1) else reasons[:most]
    columns = min(max(shutil.get_terminal_size((WIDEST, 24)).columns, NARROWEST), WIDEST)
    wrap = textwrap.TextWrapper(
        columns, initial_indent="    - ", subsequent_indent="      ", break_on_hyphens=False
    )
    for reason in listed:
        typer.echo(wrap.fill(spell_reason(reason)))
    if len(listed) < len(reasons):
        rest = Counter(reason["check"] for reason in reasons[len(listed) :])
        kinds = ", ".join(f"{check} {count}" for check, count in sorted(rest.items()))
        more = f"and {len(reasons) - len(listed)} more" if listed else "as above"
        typer.echo(f"    - {more}: {kinds}")


def spell_reason(reason: Json) -> str:
    """Return a reason as one sentence: where, found, expected and fix."""
    what = " ".join(part for part in (reason["check"], reason["channel"]) if part)
    expected = f", expected {reason['expected']}" if reason["expected"] else ""
    fix = f"; {reason['fix']}" if reason["fix"] else ""
    return escape_controls(f"{what}, {reason['where']}: {reason['found']}{expected}{fix}")
