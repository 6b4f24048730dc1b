"""Stored documents say their format; any other one is refused."""

import json
from pathlib import Path

import pytest

from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.description import FORMAT
from kinemill.dataset.packed import read_packed
from kinemill.errors import CorruptArtifact
from kinemill.store.formats import Format
from tests.dataset.conftest import make_task, publish, spin

PATH = Path("a.json")


LENGTH = Format("length", 3)


def test_what_is_written_is_read_back():
    assert LENGTH.stamp({"meters": 2}) == {"format": 3, "meters": 2}
    assert LENGTH.open(PATH, LENGTH.stamp({"meters": 2})) == {"meters": 2}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"format": 4}, r"a.json: is a length with format 4; expected format 3; update kinemill"),
        ({"format": 1, "m": 1}, r"format 1; .*make it again.*older version that wrote it"),
        ({"m": 1}, "format 1; "),  # none: from before there were numbers
        ({"format": "3"}, "format '3'"),
        ([1], "holds a list"),
    ],
)
def test_others_are_refused_with_what_to_do(document, said):
    with pytest.raises(CorruptArtifact, match=said):
        LENGTH.open(PATH, document)


def test_a_dataset_of_a_later_format_asks_for_an_update(home):
    episodes = publish(home, [spin(f"{name}.csv") for name in ("a", "val", "test")])
    ref = dataset_stage.run(make_task(), home, episodes).ref
    path = home.root / ref.path / "dataset.json"
    later = FORMAT.number + 1
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": later}))
    with pytest.raises(
        CorruptArtifact, match=rf"dataset description with format {later}.*update kinemill"
    ):
        read_packed(path.parent)
