"""Lists of 20,000 versions and of 20,000 episodes are read by the page."""

import json
from dataclasses import replace

import polars as pl
import pytest

from kinemill.dataset import catalog, list_datasets, show_dataset
from kinemill.dataset.description import read_description, write_description
from kinemill.dataset.listing import write_listing
from kinemill.dataset.segments import Segment
from kinemill.store import publish_json
from tests.dataset.conftest import run_stage

MANY = 20_000


def pieces(first, last, side="train"):
    return [
        {
            "id": f"{k:016x}-0000",
            "recording": f"{k:064x}",
            "name": f"run-{k:06d}.csv",
            "split": side,
            "first": 0,
            "rows": 50,
        }
        for k in range(first, last)
    ]


@pytest.fixture
def many(home, contents):
    """A version whose list of episodes is written over by 20,000 others."""
    ref = run_stage(home, contents).ref
    folder = home.root / ref.path
    segments = list[Segment]()
    for side, listed in (("train", pieces(0, MANY - 5)), ("test", pieces(MANY - 5, MANY, "test"))):
        table = pl.DataFrame(listed)
        listing = write_listing(folder, table)
        segments.append(Segment("", 50 * len(table), None, side, "", listing, len(table)))
    write_description(folder, replace(read_description(folder), segments=segments, unused=[]))


def test_a_version_of_many_episodes_is_shown_by_the_page(home, many):
    result = show_dataset(home, "arm", "1", offset=MANY - 3, limit=20)["list"]
    assert (result["total"], len(result["episodes"])) == (MANY, 3)
    assert [episode["name"] for episode in result["episodes"]][-1] == f"run-{MANY - 1:06d}.csv"
    assert len(json.dumps(show_dataset(home, "arm", "1"))) < 20_000  # characters


def test_of_many_versions_only_a_page_is_opened(home, contents, monkeypatch):
    ref = run_stage(home, contents).ref
    folder = home.store / "versions" / "arm" / "numbers"
    for number in range(2, MANY + 1):
        path = folder / f"{number:06d}.json"
        if number <= MANY - 5:
            path.touch()  # nobody opens them
        else:
            entry = {"version": number, **ref.to_json(), "created": "2026-01-01", "owner": "a"}
            publish_json(path, entry)
    opened = []
    read = catalog.read_json
    monkeypatch.setattr(catalog, "read_json", lambda path: opened.append(path) or read(path))
    result = list_datasets(home, "arm", offset=1, limit=3)
    assert [line["version"] for line in result["datasets"]] == [MANY - 1, MANY - 2, MANY - 3]
    assert result["total"] == MANY
    assert sum(path.parent == folder for path in opened) == 3
