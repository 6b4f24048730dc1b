"""Segments: the cut, rows across segments, and files that versions share."""

import errno
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemill.dataset import load_dataset, segments
from kinemill.dataset.row_writer import join, merge, moments
from kinemill.dataset.segments import (
    SegmentedRows,
    bounds_of,
    cut,
    hashes_of,
    link_segment,
    write_segment,
)
from tests.dataset.conftest import make_task, run_stage, spin

HASHES = st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}")
SETS = st.dictionaries(HASHES, st.integers(1, 40), min_size=1, max_size=40)


def parts_of(rows_by_id, most):
    """The ids of each segment."""
    ids = sorted(rows_by_id)
    rows = np.array([rows_by_id[id_] for id_ in ids])
    cuts = list(cut(hashes_of(pl.Series(ids)), rows, most))
    for first, last, prefix in cuts:
        low, high = bounds_of(prefix)
        hashes = hashes_of(pl.Series(ids[first:last]))
        assert ((low <= hashes) & (hashes <= high)).all()
    return [ids[first:last] for first, last, _ in cuts]


@given(SETS)
def test_every_piece_is_in_one_segment_in_order_and_none_is_too_large(rows_by_id):
    parts = parts_of(rows_by_id, 100)
    assert [one for part in parts for one in part] == sorted(rows_by_id)
    assert all(sum(rows_by_id[one] for one in part) <= 100 for part in parts)


@given(SETS, HASHES)
def test_a_new_piece_changes_one_segment(rows_by_id, new):
    rows_by_id.pop(new, None)
    old = {tuple(part) for part in parts_of(rows_by_id, 100)} if rows_by_id else set()
    now = {tuple(part) for part in parts_of({**rows_by_id, new: 7}, 100)}
    assert len(old - now) <= 1
    changed = {one for part in old - now for one in part}
    assert {one for part in now - old for one in part} == {*changed, new}


def test_pieces_of_one_recording_stay_together():
    rows = {f"{'a' * 16}-{number:04d}": 60 for number in range(5)}
    assert parts_of(rows, 100) == [sorted(rows)]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.data())
def test_rows_across_segments_are_those_of_one_array(sizes, data):
    whole = np.random.default_rng(0).normal(size=(sum(sizes), 2)).astype(np.float32)
    rows = SegmentedRows(np.split(whole, np.cumsum(sizes)[:-1]))
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    index = np.array(data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1)))
    np.testing.assert_array_equal(rows.view(start, stop), whole[start:stop])
    np.testing.assert_array_equal(rows.take(index[:, None]), whole[index[:, None]])
    np.testing.assert_array_equal(rows.copy(), whole)
    assert len(rows) == len(whole)


def inodes(home, ref):
    """The inode of each file of packed rows."""
    return {path.name: path.stat().st_ino for path in (home.root / ref.path).glob("values-*")}


def test_a_new_version_writes_the_segment_of_the_new_episode_and_links_the_others(
    home, monkeypatch
):
    monkeypatch.setattr(segments, "LARGEST", 200 * 3 * 4)  # four episodes of 50 rows
    contents = [spin(f"{number}.csv", speed=0.1 * number) for number in range(30)]
    contents += [spin("val.csv"), spin("test.csv", 2.0)]
    task = make_task()
    old = run_stage(home, contents, task).ref
    new = run_stage(home, [*contents, spin("new.csv", 4.0)], task).ref
    inodes_before, inodes_after = inodes(home, old), inodes(home, new)
    assert len(inodes_before) > 8
    assert len(set(inodes_before.values()) - set(inodes_after.values())) == 1
    assert (
        1 <= len(set(inodes_after.values()) - set(inodes_before.values())) <= 2
    )  # two if it was cut
    packed = load_dataset(home, new)
    assert [episode.name for episode in packed.episodes if episode.name == "new.csv"] == ["new.csv"]
    np.testing.assert_allclose(packed.std, packed.values[: 31 * 50].std(axis=0), rtol=1e-5)


def test_where_links_fail_a_segment_is_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMLINK, "too many links")

    source, folder = tmp_path / "source", tmp_path / "folder"
    source.mkdir()
    folder.mkdir()
    write_segment(source, "values", "abc", np.arange(6.0).reshape(2, 3))
    monkeypatch.setattr(segments, "link", refuse)
    link_segment(source, folder, "abc")
    copied = folder / "values-abc.npy"
    assert copied.read_bytes() == (source / "values-abc.npy").read_bytes()
    assert copied.stat().st_nlink == 1


@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.integers(0, 2**32 - 1))
def test_merged_segments_deviate_from_the_exact_moments_by_rounding_alone(sizes, seed):
    values = np.random.default_rng(seed).normal(1e3, 2.0, (sum(sizes), 1))
    pieces = [moments(piece) for piece in np.split(values, np.cumsum(sizes)[:-1])]
    counts, half = np.array(sizes), len(sizes) // 2
    merged = [merge(counts[own], np.array(pieces[own])) for own in (slice(half), slice(half, None))]
    totals = np.array([counts[:half].sum(), counts[half:].sum()])
    mean, std = join(totals, np.array(merged))
    exact = [Fraction(float(value)) for value in values[:, 0]]
    center = sum(exact) / len(exact)
    square = sum((value - center) ** 2 for value in exact) / len(exact)
    # The bounds of `merge`, for two levels: about 16 units of the last place of |x - x_0| <= 20.
    assert float(abs(Fraction(mean[0]) - center)) <= 2.0**-53 * (1e3 + 2 * 8 * 20)
    assert std[0] ** 2 == pytest.approx(float(square), rel=1e-13)
