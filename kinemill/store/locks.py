"""File locks on a home that name their holder and are released when it dies.

A lock is a file under `.locks/` with a `flock`, which the system releases when the holder dies.
The file names its holder for messages. With a shared database (`kinemill.store.database`), the
lock also holds between machines.
"""

import fcntl
import getpass
import json
import os
import platform
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from kinemill.errors import BadInput
from kinemill.process import process_of
from kinemill.store.database import held_by_all
from kinemill.store.home import Home

MAINTENANCE = "maintenance"  # the lock of gc, backup and restore
_HOME = "home"  # shared by runs, exclusive for restore
_AUTHOR = ContextVar[str | None]("author", default=None)  # the user that a server acts for


@contextmanager
def lock(home: Home, name: str, waiting: Callable[[str], None] | None = None) -> Generator[None]:
    """Hold the home's lock `name`; wait while another process holds it.

    `waiting` is called once with a message on the holder if the lock is not free.
    """
    path = home.root / ".locks" / name
    home.make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                waiting(f"waiting for the lock {name!r}: {holder(path)}")
            fcntl.flock(file, fcntl.LOCK_EX)
        with held_by_all(name, waiting):
            _sign(file)
            try:
                yield
            finally:
                file.truncate(0)


@contextmanager
def in_use(home: Home, what: str) -> Generator[None]:
    """Hold the home during a run, shared with other runs; this blocks a restore.

    Raises:
        BadInput: The home is being restored.
    """
    home.make()
    mine = home.root / ".locks" / "use" / f"{what}-{uuid4().hex[:8]}"
    mine.parent.mkdir(parents=True, exist_ok=True)
    with (home.root / ".locks" / _HOME).open("a+") as file, mine.open("w+") as signed:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            mine.unlink(missing_ok=True)
            raise BadInput(
                home.root, "is being restored", fix="wait until the restore has ended"
            ) from None
        try:
            _sign(signed)
            yield
        finally:
            mine.unlink(missing_ok=True)


@contextmanager
def unused(home: Home) -> Generator[None]:
    """Hold the home exclusively; this blocks runs.

    Raises:
        BadInput: A run is active, or another process holds a lock of the home.
    """
    path = home.root / ".locks" / _HOME
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        working = [holder for holder in holders(home) if holder.lock != MAINTENANCE]
        if working or not free:
            names = [f"{holder.command} ({holder.pid}), {holder.lock}" for holder in working[:3]]
            who = ", ".join(names) or "a run"
            raise BadInput(home.root, f"is in use by {who}", fix="stop them first")
        yield


def holder(path: Path) -> str:
    """Return a message on the holder of the lock file `path`, if known."""
    if (item := _read(path.name, path)) is None:
        return "held by another process"
    process = f"process {item.pid} on {item.host} ({item.command})"
    return f"held by {item.who}, {process} since {item.since}"


def current_user() -> str:
    """Return the user that a server acts for, else the user of this process."""
    if name := _AUTHOR.get():
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"  # a container may have no entry for its user


@contextmanager
def acting_as(user: str) -> Generator[None]:
    """Act for a user of a server: changes have that user as their author."""
    token = _AUTHOR.set(user)
    try:
        yield
    finally:
        _AUTHOR.reset(token)


def now() -> str:
    """Return the current time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def spell_time(seconds: float) -> str:
    """Return a time in s since the epoch as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def file_timestamp() -> str:
    """Return the current time, UTC, for the name of a file: `20260131T120000.000000Z`."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _sign(file: IO[str]) -> None:
    """Write the holder of the lock into its file."""
    command = Path(sys.argv[0]).name or "python"
    mine = Holder("", current_user(), os.getpid(), platform.node(), command, now())
    file.seek(0)
    file.truncate()
    file.write(json.dumps(vars(mine)) + "\n")
    file.flush()


@dataclass(frozen=True)
class Holder:
    """Holder of a lock: its name, the user, the process, and the start (ISO 8601, UTC)."""

    lock: str
    who: str
    pid: int
    host: str
    command: str
    since: str


def holders(home: Home) -> list[Holder]:
    """Return the holders of the home's locks from their files; no lock is acquired.

    A process of another machine counts as alive.
    """
    folder = home.root / ".locks"
    listed = [
        _read(path.relative_to(folder).as_posix(), path) for path in sorted(folder.rglob("*"))
    ]
    return [item for item in listed if item and _is_alive(item)]


def _read(name: str, path: Path) -> Holder | None:
    """Return the holder of a lock from its file; None if it is not held, or not signed yet."""
    try:
        signed: Any = json.loads(path.read_text())
        return Holder(**(signed | {"lock": name}))
    except (OSError, ValueError, TypeError):
        return None


def _is_alive(holder: Holder) -> bool:
    """Return whether the process that signed still runs; its pid may have been reused."""
    if holder.host != platform.node():
        return True
    signed = datetime.fromisoformat(holder.since).timestamp()
    return process_of(holder.pid, signed, tolerance=2.0) is not None
