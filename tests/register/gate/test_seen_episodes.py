"""Test episodes that the champion was trained on are found by their rows in the recording."""

from pathlib import Path

import polars as pl
import pytest

from kinemill.register.gate import seen_episodes as module
from kinemill.register.gate.seen_episodes import seen_episodes

COLUMNS = ["id", "split", "recording", "part", "begins", "first", "rows"]


@pytest.mark.parametrize(
    ("learned", "seen"),
    [
        (("train", "a", None, None, 0, 100), {"a0"}),  # the same recording
        (("validation", "a", None, 50, 0, 60), {"a0"}),  # its rows 50 to 109
        (("train", "a", None, 100, 0, 60), set()),  # after the test rows
        (("train", "a", "uVal", None, 0, 100), set()),  # another part of the recording
        (("test", "a", None, None, 0, 100), set()),  # not learned from
        (("train", "b", None, None, 0, 100), set()),  # another recording
    ],
)
def test_seen_episodes_are_those_whose_rows_were_learned_from(monkeypatch, learned, seen):
    tables = {
        Path("new"): [("a0", "test", "a", None, None, 0, 100), ("c0", "test", "c", None, 7, 3, 9)],
        Path("old"): [("x", *learned)],
    }

    def scan(folder, *splits):
        schema = dict.fromkeys(COLUMNS, pl.String) | dict.fromkeys(COLUMNS[4:], pl.Int64)
        table = pl.LazyFrame(tables[folder], schema=schema, orient="row")
        return table.filter(pl.col("split").is_in(splits))

    monkeypatch.setattr(module, "scan_listing", scan)
    assert seen_episodes(Path("new"), Path("old")) == seen
