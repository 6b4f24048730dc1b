"""Track uploads, so that a run is not finished or registered while its files are written.

An upload is authorized before its body arrives. A client could otherwise start one slowly, register
the run's model, and then send other bytes.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from kinemill_dagster.pipelines.auth.calls import Refused


class Uploads:
    """Paths that are being written, and the runs that are being closed, of one event loop."""

    def __init__(self) -> None:
        self._written: Counter[str] = Counter()
        self._closing: Counter[str] = Counter()

    @contextmanager
    def open_writer(self, path: str) -> Generator[None]:
        """Register an upload; enter it before the upload is authorized."""
        with _counted(self._written, [path]):
            yield

    @contextmanager
    def closing(self, names: frozenset[str]) -> Generator[None]:
        """Register that runs or models are being finished or registered.

        Raises:
            Refused: Files are being written to one of them.
        """
        with _counted(self._closing, sorted(names)):
            for path in self._written:
                if names & set(path.split("/")):
                    raise Refused(409, f"{path} is being written; finish the upload first")
            yield

    def check(self, path: str) -> None:
        """Check an authorized upload against objects that are being closed.

        Raises:
            Refused: Its run is being finished.
        """
        if set(self._closing) & set(path.split("/")):
            raise Refused(409, f"the run of {path} is being finished")


@contextmanager
def _counted(counter: "Counter[str]", names: list[str]) -> Generator[None]:
    counter.update(names)
    try:
        yield
    finally:
        for name in names:
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
