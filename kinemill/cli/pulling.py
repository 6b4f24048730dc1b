"""Pulling: the champion's files to a folder that a robot loads, swapped when another reigns."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.say import Json, document, news


def pull(
    model: Annotated[str, typer.Argument(metavar="TASK@ALIAS", help="TASK@champion, or TASK:3.")],
    to: Annotated[Path, typer.Option("--to", help="Folder that robots load; made by this.")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on: swap the folder when another is champion.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.1, help="Seconds between looks of --watch.")
    ] = 5.0,
    server: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="MLflow server; default: this machine's registry."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring a version's files to a folder, checked and tried; keep the last good ones offline."""
    from kinemill.register.pulling import pull as bring

    source = _source(model, server)
    if watch:
        _watch(source, to, every, as_json=as_json)
    else:
        _tell(bring(source, to), as_json=as_json)


def _source(model: str, server: str | None) -> Any:
    from kinemill.errors import BadInput
    from kinemill.home import Home
    from kinemill.register.pulling import OfHome, OfServer

    task, mark, which = model.partition("@" if "@" in model else ":")
    if not task or (mark and not which):
        raise BadInput(model, "names no version", expected="TASK@champion or TASK:3")
    which = f"{mark}{which}" or "@champion"
    if server is not None:
        return OfServer(server, task, which, os.environ.get("KINEMILL_TOKEN"))
    return OfHome(Home.resolve(), task, which)


def _watch(source: Any, to: Path, every: float, *, as_json: bool) -> None:
    import signal
    import threading

    from kinemill.register.pulling import watch

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    watch(source, to, lambda found: _tell(found, as_json=as_json), stop, every)


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        document(found)
        return
    typer.echo(f"{found['folder']}: version {found['version'] or 'none'}, {found['status']}")
    if "why" in found:
        news(found["why"])


COMMANDS = [pull]
