"""`kinemill data join`: one log from files that hold different columns of one recording."""

from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import Output, notify
from kinemill.errors import BadInput
from kinemill.store import Json


class By(StrEnum):
    """How rows of several files are matched."""

    ROW = "row"
    TIME = "time"


def join(
    files: list[Path],
    to: Annotated[Path, typer.Option()],
    each: bool = False,
    by: By = By.ROW,
    offset: float | None = None,
) -> Output:
    """Join files that hold different columns of one recording.

    Row k of each file belongs to the same time. Logs with their own timestamps are joined with
    --by time, at the rows of the first file. The files do not change.

    With --each, the files of a recording are those of a folder (run1/u.csv, run1/y.csv) or have
    its name (run1_u.csv, run1_y.csv). Recordings that are joined already do not change, so the
    command can be repeated as files arrive.

    Example: kinemill data join u.csv y.csv --to run1.csv

    Args:
        files: Files of one recording, or their folder.
        to: New file: .csv or .parquet; with --each, a folder.
        each: Join the files of each of several recordings.
        by: Match rows by number or by time.
        offset: Seconds to add to later files' times.
    """
    from kinemill.draft.joined_files import join_rows, write_joined
    from kinemill.draft.recording_files import join_each
    from kinemill.draft.time_join import join_by_time

    if by is By.ROW and offset is not None:
        fix = "add --by time, or leave the option out"
        raise BadInput("--offset", "has no meaning by row", fix=fix)
    paths = _paths(files)
    timed = partial(join_by_time, offset=offset or 0.0)
    join_files = timed if by is By.TIME else join_rows
    if each:
        return _joined_recordings(join_each(files[0], paths, to.absolute(), join_files))
    summary = {"file": str(to), **write_joined(paths, to.absolute(), join_files).summary(paths)}
    return Output(summary, lambda: _report(summary))


def _joined_recordings(results: Iterable[Json]) -> Output:
    """Return the outcomes of `join_each`; the exit code is 1 if a recording cannot be joined."""
    recordings = list[Json]()
    for result in results:
        recordings.append(result)
        if result["problem"]:
            notify(f"{result['recording']}: not joined: {result['problem']}")
    failed = sum(bool(result["problem"]) for result in recordings)
    made = [result for result in recordings if "rows" in result and not result["problem"]]
    existing = len(recordings) - len(made) - failed
    return Output(
        {"recordings": recordings},
        *(partial(_report, result) for result in made),
        f"{len(made)} of {len(recordings)} recordings joined, {existing} already, {failed} failed",
        exit_code=int(failed > 0),
    )


def _report(result: Json) -> None:
    columns = ", ".join(result["columns"])
    names = ", ".join(result["files"])
    typer.echo(f"{result['file']}: {result['rows']} rows of {columns}, from {names}")
    for match in result["matches"]:
        typer.echo(
            f"{match['file']}: matches {match['rows']} rows of {result['files'][0]}, "
            f"at most {match['distance_s']:.3g} s apart"
        )
    if result["left_out"]:
        notify(f"left out, as they hold no usable numbers: {', '.join(result['left_out'])}")


def _paths(files: list[Path]) -> list[Path]:
    """Return the files, and those of each folder.

    Raises:
        BadInput: one does not exist, or there are fewer than two.
    """
    from kinemill.draft.logs import log_files

    if missing := [path for path in files if not path.exists()]:
        raise BadInput(missing[0], "does not exist", expected="a file, or a folder of files")
    paths = [path for file in files for path in (log_files(file) if file.is_dir() else [file])]
    if len(paths) < 2:
        problem = f"{len(paths)} file to join" if paths else "no file to join"
        raise BadInput(files[0], problem, expected="two files or more of one recording")
    return paths
