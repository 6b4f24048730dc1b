"""Segments: the newest row of a key wins, and there are few files."""

from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemill.search.changes import Position
from kinemill.search.segments import FORMAT, Pointer, Segments


def rows(values):
    return pl.DataFrame(
        {"recording": list(values), "value": list(values.values())},
        schema={"recording": pl.String, "value": pl.Int64},
    )


keys = st.sampled_from([f"{number:02d}" for number in range(20)])
steps = st.lists(st.tuples(st.dictionaries(keys, st.integers(0, 9)), st.sets(keys)), max_size=12)


@settings(max_examples=15)
@given(steps)
def test_segments_hold_what_a_dictionary_would(tmp_path_factory, steps):
    segments = Segments(tmp_path_factory.mktemp("segments"))
    pointer, expected = Pointer(FORMAT, "rules", Position()), dict[str, int]()
    for new, removed in steps:
        pointer = segments.update(pointer, [rows(new)], removed)
        expected = {k: v for k, v in expected.items() if k not in removed} | new
        assert segments.read("rules") == pointer
        live = pl.concat([rows({}).lazy(), *segments.scan(pointer.segments)]).collect()
        assert dict(live.iter_rows()) == expected
        assert (
            live.height == len(expected) == sum(segment.live_rows for segment in pointer.segments)
        )
        sizes = [segment.live_rows for segment in pointer.segments]
        assert all(4 * later <= earlier for earlier, later in pairwise(sizes))


def test_batches_of_different_columns_become_one_segment(tmp_path):
    segments = Segments(tmp_path)
    batches = [rows({"a": 1}), rows({"b": 2}).with_columns(more=pl.lit("x"))]
    pointer = segments.update(Pointer(FORMAT, "rules", Position()), iter(batches), set())
    (frame,) = segments.scan(pointer.segments)
    assert frame.collect().rows() == [("a", 1, None), ("b", 2, "x")]


def test_a_pointer_of_other_rules_is_not_read(tmp_path):
    segments = Segments(tmp_path)
    segments.update(Pointer(FORMAT, "rules", Position()), [rows({"a": 1})], set())
    assert segments.read("rules") is not None
    assert segments.read("others") is None
