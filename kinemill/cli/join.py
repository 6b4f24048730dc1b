"""`kinemill data join`: one log from files that hold different columns of one recording."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, document, notify
from kinemill.errors import BadInput


class By(StrEnum):
    """How rows of several files are matched."""

    ROW = "row"
    TIME = "time"


class Sampling(StrEnum):
    """Names of `kinemill.draft.time_join.Method`, which is slow to import."""

    LINEAR = "linear"
    NEAREST = "nearest"
    PREVIOUS = "previous"


def join(
    files: Annotated[list[Path], typer.Argument(help="Files of one recording, or their folder.")],
    to: Annotated[Path, typer.Option("--to", help="New file: .csv or .parquet.")],
    by: Annotated[By, typer.Option("--by", help="Match rows by number or by time.")] = By.ROW,
    method: Annotated[
        Sampling | None, typer.Option("--method", help="Sampling by time; default: linear.")
    ] = None,
    offset: Annotated[
        float | None, typer.Option("--offset", help="Seconds to add to later files' times.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Join files that hold different columns of one recording.

    Row k of each file belongs to the same time. Logs with their own timestamps are joined with
    --by time, at the rows of the first file. The files do not change.

    Example: kinemill data join u.csv y.csv --to run1.csv
    """
    from kinemill.draft.joined_files import join_rows, write_joined
    from kinemill.draft.time_join import Method, join_by_time

    if by is By.ROW and (method or offset is not None):
        fix = "add --by time, or leave the option out"
        raise BadInput("--method" if method else "--offset", "has no meaning by row", fix=fix)
    paths = _paths(files)
    timed = partial(join_by_time, method=Method(method or "linear"), offset=offset or 0.0)
    join_files = timed if by is By.TIME else join_rows
    frame, left_out, matches = write_joined(paths, to.absolute(), join_files)
    if as_json:
        table = {"files": len(paths), "rows": frame.height, "columns": frame.columns}
        matched = [
            {"file": one.path.name, "rows": one.rows, "distance_s": one.distance} for one in matches
        ]
        document({"file": str(to), **table, "left_out": left_out, "matches": matched})
        return
    names = ", ".join(path.name for path in paths)
    typer.echo(f"{to}: {frame.height} rows of {', '.join(frame.columns)}, from {names}")
    for one in matches:
        typer.echo(
            f"{one.path.name}: matches {one.rows} rows of {paths[0].name}, "
            f"at most {one.distance:.3g} s apart"
        )
    if left_out:
        notify(f"left out, as they hold no usable numbers: {', '.join(left_out)}")


def _paths(files: list[Path]) -> list[Path]:
    """Return the files, and those of each folder.

    Raises:
        BadInput: one does not exist, or there are fewer than two.
    """
    from kinemill.draft.logs import log_files

    if missing := [path for path in files if not path.exists()]:
        raise BadInput(missing[0], "does not exist", expected="a file, or a folder of files")
    paths = [path for one in files for path in (log_files(one) if one.is_dir() else [one])]
    if len(paths) < 2:
        problem = f"{len(paths)} file to join" if paths else "no file to join"
        raise BadInput(files[0], problem, expected="two files or more of one recording")
    return paths
