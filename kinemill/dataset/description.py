"""Description of a packed dataset, `dataset.json`: its channels, segments and statistics."""

from dataclasses import dataclass, field
from pathlib import Path

from kinemill.dataset.segments import Segment
from kinemill.store import Format, from_json_value, read_json, to_json_value, write_json

DESCRIPTION = "dataset.json"
SPLITS = ("train", "validation", "test")  # in the order of the rows
FORMAT = Format("dataset description", 5)  # 3 and before listed all pieces in one table


@dataclass(frozen=True)
class Statistics:
    """Statistics of the training rows: (C,) `mean` and `std`, (S,) `delta_std`."""

    mean: list[float]
    std: list[float]
    delta_std: list[float]


@dataclass(frozen=True)
class Description:
    """Content of `dataset.json`.

    Attributes:
        dt: time step, s.
        states: state channels, the first columns of the rows.
        actions: action channels, the columns after the states.
        units: unit of each channel.
        angles: states that are angles.
        segments: segments of the rows, in their order: training, validation, test.
        statistics: of the training rows.
        outputs: output channels.
        unused: segments of the pieces that no split uses; they are listed and have no rows.
    """

    task: str
    dt: float
    states: list[str]
    actions: list[str]
    units: dict[str, str]
    angles: list[str]
    segments: list[Segment]
    statistics: Statistics
    outputs: list[str] = field(default_factory=list[str])
    unused: list[Segment] = field(default_factory=list[Segment])

    @property
    def listed(self) -> list[Segment]:
        """All segments whose pieces are listed, unused ones last."""
        return [*self.segments, *self.unused]

    def count(self, split: str) -> tuple[int, int]:
        """Return the number of episodes and of rows of a split."""
        segments = [segment for segment in self.listed if segment.split == split]
        return sum(segment.episodes for segment in segments), sum(
            segment.rows for segment in segments
        )


def write_description(folder: Path, description: Description) -> None:
    """Write the description of a dataset or training set."""
    write_json(folder / DESCRIPTION, FORMAT.stamp(to_json_value(description)))


def read_description(folder: Path) -> Description:
    """Read the description of a dataset or training set without verifying its digest."""
    path = folder / DESCRIPTION
    return from_json_value(FORMAT.open(path, read_json(path)), Description, path)
