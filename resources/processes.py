"""Processes of runs: start, identification, waiting and termination."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from kinemill.store.project import project_root

_POLL = 1.0  # s
_TAIL = 2000  # bytes of a process's output in an error
_ANCESTORS = 2  # ancestors of a run's process: the code server, and the daemon that started it


def start_module(
    module: Sequence[str],
    output: IO[bytes] | int,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a module with its arguments, by default in the folder of the project.

    It is in a separate session: Ctrl-C reaches only this process, which ends its children.

    Args:
        module: name of the module, and its arguments.
        output: file of its output and errors.
        environment: variables to add to those of this process.
        folder: folder in which it runs.
    """
    return subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=folder or project_root(),
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def spell_exit(code: int) -> str:
    """Return how a process with a non-zero exit code ended."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def last_output(log: Path) -> str:
    """Return the last lines that a process wrote to its log."""
    return log.read_bytes()[-_TAIL:].decode(errors="replace").strip()


def whole_lines(file: Path, start: int) -> tuple[list[str], int]:
    """Return the complete lines of a growing file from an offset, and the offset after them."""
    with file.open("rb") as opened:
        opened.seek(start)
        text, newline, _ = opened.read().rpartition(b"\n")
    lines = (text + newline).decode(errors="replace").splitlines(keepends=True)
    return lines, start + len(text + newline)


def family_of(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and its descendants."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def living(family: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that are alive."""
    processes: list[psutil.Process] = []
    for process in family:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
    return processes


def wait_for(family: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes to end; return those that are alive after the time limit.

    They are polled, because they can be other processes than children.
    """
    deadline = time.monotonic() + seconds
    alive = living(family)
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = living(alive)
    return alive


def send(process: psutil.Process, what: signal.Signals) -> None:
    """Send a signal to a process that can have ended in the meantime."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(what)


def end_with_ancestors() -> None:
    """Exit silently soon after the parent or its parent has ended.

    PR_SET_PDEATHSIG does not suffice: it fires when the forking thread ends, and threads of a
    server are short-lived. Children that use it end with this process.
    """
    ancestors = psutil.Process().parents()[:_ANCESTORS]
    threading.Thread(target=_watch, args=(ancestors,), daemon=True, name="ancestors").start()


def _watch(ancestors: list[psutil.Process]) -> None:
    while len(living(ancestors)) == len(ancestors):
        time.sleep(_POLL)
    os._exit(1)
