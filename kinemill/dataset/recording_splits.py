"""Recordings of a dataset version with their splits, for searches."""

import polars as pl

from kinemill.dataset.catalog import find_version
from kinemill.dataset.listing import scan_listing
from kinemill.store.home import Home


def recording_splits(home: Home, task: str, which: str) -> pl.DataFrame:
    """Return `recording` and the list `split` of its pieces in a dataset version.

    Args:
        home: where versions are stored.
        task: name of the task.
        which: number of the version, or `latest`.

    Raises:
        BadInput: There is no such version.
    """
    rows = scan_listing(find_version(home, task, which).folder(home))
    return rows.group_by("recording").agg(pl.col("split").unique()).collect()
