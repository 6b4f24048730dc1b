"""The warning of a training whose memory is nearly used up, as a file in its folder."""

from dataclasses import dataclass
from pathlib import Path

from kinemill.store import read_document

FILE = "memory.json"


@dataclass(frozen=True)
class MemoryWarning:
    """Memory that was nearly used up.

    Attributes:
        memory: what was free of which memory.
        share: in use, 0 to 1.
        at: s since the epoch.
    """

    memory: str
    share: float
    at: float

    @property
    def text(self) -> str:
        """What was found, and what to set."""
        return (
            f"{self.share:.0%} of the memory is in use: {self.memory}; above it the training is "
            "killed. Halve learn.batch_size and double learn.accumulate, or stop other programs"
        )


def read_warning(folder: Path) -> MemoryWarning | None:
    """Return the warning of the training in a folder; None without one."""
    file = folder / FILE
    return read_document(file, MemoryWarning) if file.is_file() else None
