"""File locks on a home that name their holder and are released when it dies.

A lock is a file under `.locks/` on which its holder has a `flock`: the system lets go of it when
the holder dies, however it dies. The file names its holder, for people. Where machines share a
database (`kinemill.store.database`), the lock holds between them, too.
"""

import fcntl
import getpass
import json
import os
import platform
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

from kinemill.errors import BadInput
from kinemill.process import process_of
from kinemill.store.database import held_by_all
from kinemill.store.home import Home

KEEPING = "keeping"  # the lock of gc, backup and restore
_HOME = "home"  # shared by runs, held alone by restore


@contextmanager
def lock(home: Home, name: str, waiting: Callable[[str], None] | None = None) -> Generator[None]:
    """Hold the home's lock `name`, waiting for whoever holds it.

    Args:
        home: where the lock file lives.
        name: what is guarded.
        waiting: told, once, who holds the lock when it is not free.
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
    """Hold the home for the whole duration of a run, with any number of others: no restore begins.

    Args:
        home: that is used.
        what: names the run to people.

    Raises:
        BadInput: the home is being restored.
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
                home.root, "is being restored", fix="wait until that has ended"
            ) from None
        try:
            _sign(signed)
            yield
        finally:
            mine.unlink(missing_ok=True)


@contextmanager
def unused(home: Home) -> Generator[None]:
    """Hold the home alone: no run begins.

    Raises:
        BadInput: a run is active, or another process holds a lock of the home.
    """
    path = home.root / ".locks" / _HOME
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        working = [one for one in holders(home) if one.lock != KEEPING]
        if working or not free:
            names = [f"{one.command} ({one.pid}), {one.lock}" for one in working[:3]]
            who = ", ".join(names) or "a run"
            raise BadInput(home.root, f"is in use by {who}", fix="stop them first")
        yield


def holder(path: Path) -> str:
    """Say who holds the lock file `path`, as far as it tells."""
    try:
        who = json.loads(path.read_text())
        return (
            f"held by {who['who']}, process {who['pid']} on {who['host']} "
            f"({who['command']}) since {who['since']}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        # Between taking the lock and signing it there is a moment without a name.
        return "held by another process"


def current_user() -> str:
    """Return the name of the person this process works for."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"  # a container may have no entry for its user


def now() -> str:
    """Return the present time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _sign(file: IO[str]) -> None:
    """Write who holds the lock into its file."""
    mine = {
        "who": current_user(),
        "pid": os.getpid(),
        "host": platform.node(),
        "command": Path(sys.argv[0]).name or "python",
        "since": now(),
    }
    file.seek(0)
    file.truncate()
    file.write(json.dumps(mine) + "\n")
    file.flush()


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: its name, the process, and since when (ISO 8601, UTC)."""

    lock: str
    pid: int
    host: str
    command: str
    since: str


def holders(home: Home) -> list[Holder]:
    """Return who holds a lock of the home, by what the files say; no lock is touched.

    A process of another machine is taken to live.
    """
    folder = home.root / ".locks"
    found: list[Holder] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (one := _holder(path.relative_to(folder).as_posix(), path)):
            found.append(one)
    return found


def _holder(name: str, path: Path) -> Holder | None:
    try:
        who = json.loads(path.read_text())
        one = Holder(name, int(who["pid"]), who["host"], who["command"], who["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nobody, or somebody who has not signed yet
    return one if one.host != platform.node() or _is_alive(one) else None


def _is_alive(one: Holder) -> bool:
    """Tell whether the process that signed still runs; its number may have gone to another one."""
    signed = datetime.fromisoformat(one.since).timestamp()
    return process_of(one.pid, signed, tolerance=2.0) is not None
