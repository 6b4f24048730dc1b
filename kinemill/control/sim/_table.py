"""Columns of a log, and its CSV text."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.store import digest, publish_file

Table = dict[str, NDArray[np.float64]]


def csv(table: Table) -> str:
    """Spell columns (n,) by name as CSV: one header line, one line a row, NaN as `nan`.

    Seven decimals: a tenth of a microradian is far below every sensor's resolution.
    """
    rows = zip(*(column.tolist() for column in table.values()), strict=True)
    lines = [",".join(f"{value:.7f}" for value in row) for row in rows]
    return "\n".join([",".join(table), *lines]) + "\n"


def write_csv(table: Table, folder: Path, stem: str) -> Path:
    """Write a log and return its path, which ends in a digest: no log replaces a different one."""
    content = csv(table)
    path = folder / f"{stem}-{digest(content)[:8]}.csv"
    if not path.is_file():
        publish_file(path, content.encode())
    return path
