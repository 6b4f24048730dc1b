"""Act log: what users decided, one file per act, `store/<kind>/<task>/<number>.json`.

Acts are numbered in order and never changed, so a later act withdraws an earlier one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from kinemill.store.documents import from_json_value, to_json_value
from kinemill.store.fault_injection import fault_point
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.json_io import publish_shared, read_json
from kinemill.store.locks import lock
from kinemill.store.remote_sync import bring_new


class Act(Protocol):
    """A dataclass with the number of the act, from 1."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def number(self) -> int:
        """Number of the act."""
        ...


T = TypeVar("T", bound=Act)


@dataclass(frozen=True)
class ActLog(Generic[T]):
    """The acts of one kind.

    Attributes:
        kind: name of their folder.
        form: format of a file.
        act: class of an act.
    """

    kind: str
    form: Format
    act: type[T]

    def _folder(self, home: Home, task: str) -> Path:
        return home.store / self.kind / task

    def fetch(self, home: Home, task: str) -> None:
        """Fetch the acts of other machines.

        Raises:
            Unreachable: The object store did not respond.
        """
        bring_new(home, self._folder(home, task))

    def read(self, home: Home, task: str) -> Sequence[T]:
        """Return every act of a task, oldest first.

        Raises:
            CorruptArtifact: An act cannot be read; without it, what it decided would not hold.
        """
        folder = self._folder(home, task)
        stats = ((path.name, path.stat()) for path in sorted(folder.glob("*.json")))
        files = tuple((name, stat.st_ino, stat.st_mtime_ns) for name, stat in stats)
        return _read_all(self, folder, files)

    def append(self, home: Home, task: str, make: Callable[[], T]) -> T:
        """Record an act permanently, and return it with its number.

        `make` is called after the acts of other machines are fetched, while no other process
        records one.
        """
        folder = self._folder(home, task)
        with lock(home, f"{self.kind}-{task}"):
            self.fetch(home, task)
            number = max((int(path.stem) for path in folder.glob("*.json")), default=0) + 1
            act = replace(make(), number=number)
            fault_point("act.numbered")
            content = self.form.stamp(to_json_value(act))
            publish_shared(home, folder / f"{number:06d}.json", content)
            fault_point("act.recorded")
        return act


@lru_cache(maxsize=32)  # acts are read for each recording; a restored home has other inodes
def _read_all(log: ActLog[T], folder: Path, files: tuple[tuple[str, int, int], ...]) -> Sequence[T]:
    paths = [folder / name for name, _, _ in files]
    return tuple(from_json_value(log.form.open(p, read_json(p)), log.act, p) for p in paths)
