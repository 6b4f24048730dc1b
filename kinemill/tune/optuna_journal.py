"""The journal of a search: one file that any number of processes write to, and may die at it.

Optuna's own file backend gives its locks up after a while, and a line that a killed process left
half written makes its file unreadable for good once the next line is joined to it. Here the system
lets go of the lock when its holder dies, and whoever writes next removes the torn line.

Machines that share a database (`kinemill.store.database`) keep their searches there instead.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from kinemill.errors import CorruptArtifact
from kinemill.store.database import address_of, held_by_all, make_schema

FILE = "journal.log"


class Journal(BaseJournalBackend):
    """Lines of JSON in a file, one an event; whole lines alone count."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._begins = [0]  # where each known line begins, and the one after the last

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the events from one on.

        Raises:
            CorruptArtifact: a line was damaged.
        """
        if not self._file.is_file():
            return
        number = min(log_number_from, len(self._begins) - 1)
        with self._file.open("rb") as file:
            file.seek(self._begins[number])
            while (line := file.readline()).endswith(b"\n"):
                number += 1
                if number == len(self._begins):
                    self._begins.append(file.tell())
                if number > log_number_from:
                    yield self._event(line, number)

    def _event(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            return json.loads(line)
        except ValueError as error:
            message = f"line {number} holds no JSON"
            fix = "move it away and search again"
            raise CorruptArtifact(self._file, message, fix=fix) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write events to the disk, after a last line that has its end."""
        text = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _mend(file)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def _mend(file: IO[bytes]) -> None:
    """Cut a file off after its last line end."""
    at = end = file.seek(0, os.SEEK_END)
    while at > 0:
        file.seek(at - 1)
        if file.read(1) == b"\n":
            break
        at -= 1
    if at < end:
        file.truncate(at)


def open_storage(folder: Path) -> Any:
    """Return the storage of the studies kept in `folder`, or of all in a shared database."""
    shared = address_of("optuna")
    return JournalStorage(Journal(folder / FILE)) if shared is None else _open_shared(shared)


@cache  # once for each process
def _open_shared(address: str) -> Any:
    from optuna.storages import RDBStorage

    make_schema("optuna")
    with held_by_all("optuna tables"):  # two that make them at once would fail
        return RDBStorage(address)
