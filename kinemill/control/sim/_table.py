"""Columns of a log, and its CSV text."""

import numpy as np
from numpy.typing import NDArray

Table = dict[str, NDArray[np.float64]]


def csv(table: Table) -> str:
    """Spell columns (n,) by name as CSV: one header line, one line a row, NaN as `nan`.

    Seven decimals: a tenth of a microradian is far below every sensor's resolution.
    """
    rows = zip(*(column.tolist() for column in table.values()), strict=True)
    lines = [",".join(f"{value:.7f}" for value in row) for row in rows]
    return "\n".join([",".join(table), *lines]) + "\n"
