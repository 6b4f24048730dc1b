"""`kinemill data join`: one log from files that hold different columns of one recording."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, document, notify
from kinemill.errors import BadInput


def join(
    files: Annotated[list[Path], typer.Argument(help="Files of one recording, or their folder.")],
    to: Annotated[Path, typer.Option("--to", help="New file: .csv or .parquet.")],
    as_json: JsonOption = False,
) -> None:
    """Join files that hold different columns of one recording.

    Row k of each file belongs to the same time. The files do not change.

    Example: kinemill data join u.csv y.csv --to run1.csv
    """
    from kinemill.draft.joined_files import write_joined
    from kinemill.draft.logs import log_files

    if missing := [path for path in files if not path.exists()]:
        raise BadInput(missing[0], "does not exist", expected="a file, or a folder of files")
    paths = [path for one in files for path in (log_files(one) if one.is_dir() else [one])]
    if len(paths) < 2:
        problem = f"{len(paths)} file to join" if paths else "no file to join"
        raise BadInput(files[0], problem, expected="two files or more of one recording")
    frame, texts = write_joined(paths, to.absolute())
    if as_json:
        joined = {"files": len(paths), "rows": frame.height, "columns": frame.columns}
        document({"file": str(to), **joined, "left_out": texts})
        return
    names = ", ".join(path.name for path in paths)
    typer.echo(f"{to}: {frame.height} rows of {', '.join(frame.columns)}, from {names}")
    if texts:
        notify(f"left out, as they hold no numbers: {', '.join(texts)}")
