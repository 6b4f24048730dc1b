"""Lists of 20,000 versions and of 20,000 episodes are read by the page."""

import json
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

import polars as pl
import pytest

from kinemill.dataset import catalog, diff_datasets, list_datasets, show_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.description import read_description, write_description
from kinemill.dataset.listing import write_listing
from kinemill.dataset.segments import Segment
from kinemill.store import publish_json
from tests.dataset.conftest import make_task, publish

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
def two(home, contents):
    """Two versions whose lists of episodes are written over by 20,000 others."""
    refs = [
        dataset_stage.run(make_task(unused=unused), home, publish(home, contents)).ref
        for unused in ([], ["b*"])
    ]
    folders = [home.root / ref.path for ref in refs]
    old = [*pieces(0, MANY - 5), *pieces(MANY - 5, MANY, "test")]
    after = [*pieces(10, MANY - 5), *pieces(MANY - 5, MANY, "validation"), *pieces(MANY, MANY + 7)]
    for folder, listed in zip(folders, (old, after), strict=True):
        segments = list[Segment]()
        for side, own in groupby(listed, key=itemgetter("split")):
            table = pl.DataFrame(list(own))
            listing = write_listing(folder, table)
            segments.append(Segment("", 50 * len(table), None, side, "", listing, len(table)))
        write_description(folder, replace(read_description(folder), segments=segments, unused=[]))
    return folders


def test_a_version_of_many_episodes_is_shown_by_the_page(home, two):
    result = show_dataset(home, "arm", "1", offset=MANY - 3, limit=20)["list"]
    assert (result["total"], len(result["episodes"])) == (MANY, 3)
    assert [episode["name"] for episode in result["episodes"]][-1] == f"run-{MANY - 1:06d}.csv"
    assert len(json.dumps(show_dataset(home, "arm", "1"))) < 20_000  # characters


def test_two_versions_of_many_episodes_are_compared_by_the_page(home, two):
    result = diff_datasets(home, "arm", "1", "2", offset=2, limit=4)
    assert {kind: result[kind] for kind in ("added", "removed", "moved", "changed")} == {
        "added": 7, "removed": 10, "moved": 5, "changed": 0
    }  # fmt: skip
    assert [one["name"] for one in result["episodes"]["removed"]] == [
        f"run-{k:06d}.csv" for k in range(2, 6)
    ]
    assert [len(result["episodes"][kind]) for kind in ("added", "moved")] == [4, 3]


def test_of_many_versions_only_a_page_is_opened(home, contents, monkeypatch):
    ref = dataset_stage.run(make_task(), home, publish(home, contents)).ref
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
