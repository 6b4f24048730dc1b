"""`kinemill model pull`: deliver registered versions to robots."""

import os
import threading
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.completion import complete_model
from kinemill.cli.output import JsonOption, Output, notify
from kinemill.interrupts import message_on_interrupt, resume
from kinemill.store import Home, Json


def pull(
    model: Annotated[str, typer.Argument(metavar="TASK@ALIAS", autocompletion=complete_model)],
    to: Annotated[Path, typer.Option()],
    watch: bool = False,
    every: Annotated[float, typer.Option(min=0.1)] = 5.0,
    server: Annotated[str | None, typer.Option("--from", metavar="URL")] = None,
    as_json: JsonOption = False,
) -> None:
    """Download a version to the model folder of a robot.

    The files are checked and smoke-tested before they replace the folder. Offline, the last version
    stays.

    Example: kinemill model pull my_robot@champion --to model --watch

    Args:
        model: Model: TASK@champion, TASK@ALIAS or TASK:3.
        to: Model folder of the robot; created if missing.
        watch: Keep running and replace the folder when the champion changes.
        every: Seconds between checks of --watch.
        server: kinemill server; default: the local registry.
    """
    from kinemill.register.pulls import OfHome
    from kinemill.runtime import download
    from kinemill.runtime.registry_client import address_parts, from_server

    address = _task_address(model)
    if server is not None:
        source = from_server(server, address, os.environ.get("KINEMILL_TOKEN"))
    else:
        source = OfHome(Home.resolve(), *address_parts(address))
    if not watch:
        _output(download.pull(source, to)).print(as_json=as_json)
        return
    with message_on_interrupt(lambda: f"{to} keeps the last version; {resume()}"):
        download.watch(
            source,
            to,
            lambda result: _output(result).print(as_json=as_json),
            threading.Event(),
            every,
        )


def _task_address(model: str) -> str:
    """Return the address of a model; `gym:ID` is replaced by the name of its drafted task."""
    if not model.startswith("gym:"):
        return model
    from kinemill.api.models import split_address
    from kinemill.task import task_name

    task, which = split_address(model)
    return f"{task_name(task)}{which}"


def _output(result: Json) -> Output:
    notes = [result["why"]] if "why" in result else []
    if result.get("provisional"):
        notes.insert(0, f"provisional champion: {result['provisional']}")
    text = f"{result['folder']}: version {result['version'] or 'none'}, {result['status']}"
    return Output(result, text, lambda: notify(*notes))
