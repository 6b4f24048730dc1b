"""Warning of a training that uses nearly all memory, a file in its folder."""

from dataclasses import dataclass
from pathlib import Path

from kinemill.store import read_document

FILE = "memory.json"


@dataclass(frozen=True)
class MemoryWarning:
    """Warning about nearly exhausted memory.

    Attributes:
        memory: kind of memory, and its free part, as text.
        share: share in use, 0 to 1.
        at: time of the warning, s since the epoch.
    """

    memory: str
    share: float
    at: float

    @property
    def text(self) -> str:
        """Message with the finding and a fix."""
        return (
            f"{self.share:.0%} of the memory is in use: {self.memory}; the system kills the "
            f"training if it runs out. Halve learn.batch_size and double learn.accumulate, or "
            f"stop other programs"
        )


def read_warning(folder: Path) -> MemoryWarning | None:
    """Return the warning of the training in a folder; None without one."""
    file = folder / FILE
    return read_document(file, MemoryWarning) if file.is_file() else None
