"""Journal of a search: one append-only file for several processes, safe to kill at any point.

Optuna's file backend has locks that expire, and a truncated line makes its file unreadable after
the next append. This backend uses `flock`, which the system releases at the end of a process, and
the next writer removes a truncated line.

With a shared database (`kinemill.store.database`), studies are stored there instead.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend

from kinemill.errors import CorruptArtifact
from kinemill.store import Json
from kinemill.store.database import address_of, held_by_all, make_schema

FILE = "journal.log"


class Journal(BaseJournalBackend):
    """Lines of JSON in a file, one per event; a truncated last line is ignored."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._begins = [0]  # offsets of the lines read so far, and of the next one

    def read_logs(self, log_number_from: int) -> Iterator[Json]:
        """Yield the events from index `log_number_from`.

        Raises:
            CorruptArtifact: A line is damaged.
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

    def _event(self, line: bytes, number: int) -> Json:
        try:
            return json.loads(line)
        except ValueError as error:
            message = f"line {number} is not JSON"
            fix = "move the file away and repeat the search"
            raise CorruptArtifact(self._file, message, fix=fix) from error

    def append_logs(self, logs: list[Json]) -> None:
        """Remove a truncated line, append events, and flush them to disk."""
        text = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _mend(file)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def _mend(file: IO[bytes]) -> None:
    """Truncate a file after its last line end."""
    at = end = file.seek(0, os.SEEK_END)
    while at > 0:
        file.seek(at - 1)
        if file.read(1) == b"\n":
            break
        at -= 1
    if at < end:
        file.truncate(at)


def open_storage(folder: Path) -> BaseStorage:
    """Return the storage of the studies in `folder`, or of the shared database."""
    shared = address_of("optuna")
    return JournalStorage(Journal(folder / FILE)) if shared is None else _open_shared(shared)


@cache  # once per process
def _open_shared(address: str) -> BaseStorage:
    make_schema("optuna")
    with held_by_all("optuna tables"):  # concurrent creation would fail
        return RDBStorage(address)
