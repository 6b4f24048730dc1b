"""Layout: a cut in which kept segments take part equals the cut of all pieces."""

import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from kinemill.dataset.description import Description, Statistics
from kinemill.dataset.incremental import PreviousVersion, UnchangedPieces
from kinemill.dataset.layout import LAYOUT, NewSegment, lay_out, scan_layout
from kinemill.dataset.listing import write_listing
from kinemill.dataset.segments import Segment

MOST = 100
# Few different first bits, so that segments often share a node, and many are cut deep.
HASHES = st.builds(
    lambda head, tail: f"{head}{tail:014x}", st.sampled_from("0178f"), st.integers(0, 2**56 - 1)
)
PIECES = st.dictionaries(
    HASHES, st.tuples(st.integers(1, 40), st.sampled_from(LAYOUT)), min_size=1, max_size=40
)


def table_of(pieces):
    """A table of pieces, one for each recording."""
    rows = [
        {"id": f"{hash_}-0000", "recording": hash_, "name": f"{hash_}.csv", "part": "", "task": ""}
        | {
            "rows": length,
            "split": split,
            "side": split,
            "episode": hash_,
            "artifact": "a",
            "first": 0,
        }
        for hash_, (length, split) in pieces.items()
    ]
    kinds = {"rows": pl.Int64, "first": pl.Int64}
    names = ["id", "recording", "name", "part", "split", "side", "episode", "artifact", "task"]
    return pl.DataFrame(rows, schema={name: pl.String for name in names} | kinds)


def publish_layout(folder, layout):
    """A version with the listings of a layout; its segments have no rows."""
    segments = list[Segment]()
    for number, part in enumerate(layout):
        listing, total = write_listing(folder, part.pieces), int(part.pieces["rows"].sum())
        key = "" if part.split == "unused" else f"{number}"
        about = (part.split, part.prefix, listing, len(part.pieces))
        segments.append(Segment(key, total, None, *about))
    used = [segment for segment in segments if segment.key]
    unused = [segment for segment in segments if not segment.key]
    statistics = Statistics([], [], [])
    return PreviousVersion(
        folder, Description("arm", 0.01, [], [], {}, [], used, statistics, unused=unused)
    )


def content(layout, previous=None):
    """Split, prefix and ids of each segment."""
    pieces = [
        part.pieces if isinstance(part, NewSegment) else previous.read(part) for part in layout
    ]
    return [
        (part.split, part.prefix, own["id"].to_list())
        for part, own in zip(layout, pieces, strict=True)
    ]


@given(PIECES, PIECES, st.randoms())
def test_a_layout_from_kept_segments_is_that_of_all_pieces(old, new, random):
    gone = {hash_ for hash_ in old if random.random() < 0.3}
    kept = {hash_: piece for hash_, piece in old.items() if hash_ not in gone | new.keys()}
    with tempfile.TemporaryDirectory() as path:
        previous = publish_layout(Path(path), lay_out(table_of(old), MOST))
        unchanged = UnchangedPieces(previous, gone | new.keys(), {})
        layout = lay_out(table_of(new), MOST, unchanged)
        expected = lay_out(table_of(kept | new), MOST)
        assert content(layout, previous) == content(expected)
        columns = ["split", "name", "rows"]
        listed, all_listed = (
            scan_layout(one, old).select(columns).sort(columns).collect()
            for one, old in ((layout, previous), (expected, None))
        )
        assert listed.equals(all_listed)
        for part in layout:  # pieces that stay have their old place, and new ones have none
            if isinstance(part, NewSegment) and part.split != "unused":
                places = part.pieces.filter(pl.col("old_start").is_not_null())["recording"]
                assert set(places) == set(part.pieces["recording"]) - new.keys()


def test_only_segments_that_change_are_read(tmp_path, monkeypatch):
    old = {f"{number:02x}{'0' * 13}": (40, "train") for number in range(256)}
    previous = publish_layout(tmp_path, lay_out(table_of(old), MOST))
    opened = list[str]()
    read = PreviousVersion.read

    def note(self, segment):
        opened.append(segment.prefix)
        return read(self, segment)

    monkeypatch.setattr(PreviousVersion, "read", note)
    new = {f"00{'1' * 13}": (5, "train"), f"80{'1' * 13}": (40, "train")}
    layout = lay_out(table_of(new), MOST, UnchangedPieces(previous, set(new), {}))
    assert opened == ["0000000", "1000000"]  # 80 and 80 rows of at most 100
    assert sum(isinstance(part, NewSegment) for part in layout) == 1 + 2
    # Two halves that fit together again are merged.
    gone = {f"01{'0' * 13}", f"02{'0' * 13}", f"03{'0' * 13}"}
    opened.clear()
    layout = lay_out(table_of({}), MOST, UnchangedPieces(previous, gone, {}))
    (merged,) = (part for part in layout if isinstance(part, NewSegment))
    assert (merged.prefix, len(merged.pieces)) == ("000000", 1)
