"""Rows that a benchmark prescribes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kinemill.dataset import load_dataset
from kinemill.dataset.split import SplitContext, cut_pieces, unmatched_patterns
from kinemill.task import Dataset
from tests.dataset.conftest import make_task, run_stage, spin


def cut(rules: Dataset, episode, shortest=2, start=0):
    context = SplitContext(starts={episode.id: start})
    pieces = cut_pieces(rules, [episode], shortest, context)
    return [(piece.split, piece.first, piece.last) for piece in pieces]


def test_the_split_of_silverbox_comes_out_to_the_row():
    # Rows 100:40575 test (arrow); 40650:127400 multisine, its last quarter test as well.
    rules = Dataset(
        test=[{"rows": [100, 40575]}, {"rows": [105712, 127400]}],
        validation={"rows": [97000, 105712]},
        unused=[{"rows": [0, 100]}, {"rows": [40575, 40650]}, {"rows": [127400, None]}],
    )
    assert cut(rules, spin("SNLS80mV.csv", rows=131072)) == [
        ("unused", 0, 100),
        ("test", 100, 40575),
        ("unused", 40575, 40650),
        ("train", 40650, 97000),
        ("validation", 97000, 105712),
        ("test", 105712, 127400),
        ("unused", 127400, 131072),
    ]


def test_rows_are_those_of_the_recording_wherever_its_episodes_begin():
    rules = Dataset(test=[{"rows": [100, 200]}], validation={"tail": 0.5})
    assert cut(rules, spin("a.csv", rows=150), start=70) == [
        ("train", 0, 15), ("validation", 15, 30), ("test", 30, 130), ("train", 130, 140),
        ("validation", 140, 150),
    ]  # fmt: skip
    assert cut(rules, spin("a.csv", rows=50), start=300) == [
        ("train", 0, 25), ("validation", 25, 50),
    ]  # fmt: skip


def test_what_is_left_over_and_too_short_is_not_used():
    rules = Dataset(test=[{"rows": [10, 90]}], validation=["x"])
    assert cut(rules, spin("a.csv", rows=130), shortest=20) == [
        ("unused", 0, 10), ("test", 10, 90), ("train", 90, 130),
    ]  # fmt: skip


def test_rows_may_be_those_of_some_recordings_only():
    rules = Dataset(test=[{"rows": [0, 10], "of": "b*"}, "c*"], validation=["x"])
    assert cut(rules, spin("a.csv")) == [("train", 0, 50)]
    assert cut(rules, spin("b.csv")) == [("test", 0, 10), ("train", 10, 50)]
    assert cut(rules, spin("c.csv")) == [("test", 0, 50)]
    assert unmatched_patterns(rules, ["a.csv", "c.csv", "x"]) == ["test: {rows: [0, 10], of: 'b*'}"]


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(1, 60)), max_size=4),
    st.integers(1, 120),
    st.integers(0, 40),
)
def test_every_row_is_in_one_piece_and_the_prescribed_ones_in_test(selection, rows, start):
    spans = [(first, first + length) for first, length in selection]
    rules = Dataset(test=[{"rows": list(span)} for span in spans] or ["none"], validation=["x"])
    splits = np.full(rows, "", dtype=object)
    for side, first, last in cut(rules, spin("a.csv", rows=rows), 1, start):
        assert set(splits[first:last]) == {""}
        splits[first:last] = side
    for row in range(rows):
        prescribed = any(first <= row + start < last for first, last in spans)
        assert splits[row] == ("test" if prescribed else "train")


@pytest.mark.parametrize("rows", [[5, 5], [9, 3], [-1, 4], [1]])
def test_rows_that_are_none_are_refused(rows):
    with pytest.raises(ValidationError):
        Dataset(test=[{"rows": rows}])


def test_prescribed_rows_are_packed_and_no_window_crosses_their_edges(home):
    task = make_task(test={"rows": [20, 60]}, validation={"tail": 0.2})
    artifact = run_stage(home, [spin("one.csv", rows=200, speed=1.0)], task)
    dataset = load_dataset(home, artifact.ref)
    assert artifact.summary["rows"] == {"train": 132, "validation": 28, "test": 40, "unused": 0}
    (test,) = dataset.of("test")
    np.testing.assert_array_equal(dataset.rows(test)[:, 2], np.arange(20, 60))
    assert len(dataset.window_starts("test", 40)) == 1
    assert len(dataset.window_starts("test", 41)) == 0
    assert len({episode.id for episode in dataset.episodes}) == len(dataset.episodes)
