"""Typed documents survive a round trip, and a damaged one is refused by field."""

from dataclasses import dataclass

import pytest

from kinemill.errors import CorruptArtifact
from kinemill.store import publish_document, read_document, write_document, write_json


@dataclass(frozen=True)
class Item:
    name: str
    rows: int
    seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Listing:
    items: dict[str, Item]
    parent: Item | None = None


LISTING = Listing({"a": Item("a\udc80", 3, (0.5, 1.0))}, Item("b", 0))


@pytest.mark.parametrize("write", [write_document, publish_document])
def test_a_document_reads_back_as_written(tmp_path, write):
    write(tmp_path / "listing.json", LISTING)
    assert read_document(tmp_path / "listing.json", Listing) == LISTING


@pytest.mark.parametrize("write", [write_document, publish_document])
def test_a_list_of_documents_reads_back_as_written(tmp_path, write):
    items = list(LISTING.items.values())
    write(tmp_path / "items.json", items)
    assert read_document(tmp_path / "items.json", list[Item]) == items


@pytest.mark.parametrize(
    ("value", "position"),
    [
        ({"items": {"a": {"name": "a", "rows": "many"}}}, "items.a.rows"),
        ({"items": {"a": {"rows": 1}}}, "items.a.name"),
        ([], "the document"),
    ],
)
def test_a_damaged_document_names_file_and_field(tmp_path, value, position):
    path = tmp_path / "listing.json"
    write_json(path, value)
    with pytest.raises(CorruptArtifact, match=position) as raised:
        read_document(path, Listing)
    assert "listing.json" in str(raised.value)
