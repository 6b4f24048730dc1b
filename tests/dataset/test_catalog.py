"""Versions: numbered in the order of their making, frozen, and listed by the page."""

import json
import shutil
from dataclasses import replace

import pytest

from kinemill.dataset import dataset_versions, find_version, list_datasets, show_dataset
from kinemill.dataset.catalog import enter
from kinemill.dataset.layout import LAYOUT
from kinemill.errors import BadInput
from kinemill.store import open_ref
from tests.dataset.conftest import make_task, run_stage, spin


@pytest.fixture
def three(home, contents):
    """Versions of 4, 5 and 6 episodes."""
    more = [spin("c.csv", rows=70), spin("d.csv", rows=30)]
    return [run_stage(home, [*contents, *more[:number]]) for number in range(3)]


def test_versions_are_numbered_as_they_are_made_and_found_by_number_and_digest(home, three):
    digests = [artifact.ref.digest for artifact in three]
    assert [version.ref.digest for version in dataset_versions(home, "arm")] == digests[::-1]
    assert find_version(home, "arm").number == 3
    for which in ("2", "v2", digests[1], digests[1][:8]):
        assert find_version(home, "arm", which).ref == three[1].ref


def test_a_version_made_again_keeps_its_number_and_date(home, three, contents):
    previous = find_version(home, "arm", "1")
    again = run_stage(home, contents)
    assert again.cached
    assert find_version(home, "arm", "1") == previous
    assert list_datasets(home, "arm")["total"] == 3


def test_what_a_version_is_does_not_depend_on_when_and_where_it_was_made(home, tmp_path, contents):
    other = replace(home, root=tmp_path / "other")
    refs = [run_stage(one, contents).ref for one in (home, other)]
    assert refs[0] == refs[1]
    files = {path.name for path in open_ref(home, refs[0]).iterdir()}
    text = b"".join(
        (open_ref(home, refs[0]) / name).read_bytes() for name in files if name.endswith(".json")
    )
    assert find_version(home, "arm").created.encode() not in text


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("4", "expected 1 to 3"),
        ("0", "unknown"),
        ("zz", "kinemill data datasets list arm"),
        ("", "latest"),
    ],
)
def test_an_unknown_version_is_told_what_there_is(home, three, which, said):
    with pytest.raises(BadInput, match=said):
        find_version(home, "arm", which)


def test_a_task_without_a_version_says_how_to_make_one(home):
    assert list_datasets(home, "arm") == {"task": "arm", "total": 0, "offset": 0, "datasets": []}
    with pytest.raises(BadInput, match="kinemill run arm"):
        find_version(home, "arm")


def test_the_catalog_is_made_again_from_the_versions(home, three):
    first = list_datasets(home, "arm")
    shutil.rmtree(home.store / "versions")
    after = list_datasets(home, "arm")
    assert {line["digest"] for line in after["datasets"]} == {
        line["digest"] for line in first["datasets"]
    }
    assert [line["version"] for line in after["datasets"]] == [3, 2, 1]


def test_a_crash_between_number_and_digest_gives_no_second_number(home, three):
    last = find_version(home, "arm")
    (home.store / "versions" / "arm" / "digests" / f"{last.ref.digest}.json").unlink()
    assert [version.number for version in dataset_versions(home, "arm")] == [3, 2, 1]
    assert enter(home, "arm", last.ref).number == 3
    assert list_datasets(home, "arm")["total"] == 3


def test_a_version_tells_what_it_is(home, three):
    version = show_dataset(home, "arm", "2", offset=1, limit=3)
    assert (version["name"], version["status"], version["dt"]) == ("arm/v2", "ready", 0.01)
    assert (version["states"], version["actions"], version["recordings"]) == (2, 1, 5)
    assert version["episodes"] == {"train": 3, "validation": 1, "test": 1, "unused": 0}
    features = {line["name"]: line for line in version["features"]}
    assert list(features) == ["angle", "speed", "torque"]
    assert (features["speed"]["unit"], features["speed"]["role"]) == ("rad/s", "state")
    assert features["angle"]["delta_std"] == pytest.approx(0.0, abs=1e-9)
    assert version["list"]["total"] == 5
    listed = version["list"]["episodes"]
    every = show_dataset(home, "arm", "2", limit=99)["list"]["episodes"]
    assert listed == every[1:4]
    rows = [(LAYOUT.index(one["split"]), one["id"]) for one in every]
    assert rows == sorted(rows)
    assert [one["start"] for one in every] == [0, *(one["stop"] for one in every[:-1])]
    assert version["owner"]
    assert version["updated"] >= version["created"] > "2020"
    assert len(version["rule_digest"]) == 64
    assert json.dumps(version)


def test_a_changed_byte_and_a_missing_folder_show_in_the_status(home, three):
    file = next((home.root / three[0].ref.path).glob("values-*.npy"))
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    assert show_dataset(home, "arm", "1")["status"] == "damaged"
    shutil.rmtree(home.root / three[1].ref.path)
    lines = list_datasets(home, "arm")["datasets"]
    assert [line["status"] for line in lines] == ["ready", "gone", "ready"]


def test_unused_episodes_are_listed_without_rows(home, contents):
    run_stage(home, contents, make_task(unused=["b*"]))
    rows = show_dataset(home, "arm")["list"]["episodes"]
    (unused,) = (row for row in rows if row["split"] == "unused")
    assert (unused["name"], unused["rows"], unused["start"]) == ("b.csv", 50, None)
