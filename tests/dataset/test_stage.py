"""Packing: rows, statistics and windows of a dataset version."""

import tempfile
from dataclasses import replace
from math import pi
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.multi_task import EpisodeSet
from kinemill.dataset.packed import read_packed
from kinemill.dataset.row_writer import join, moments
from kinemill.dataset.split import SplitContext
from kinemill.dataset.stage import pack
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.runtime import whole_turns
from kinemill.store.home import Home
from kinemill.validate.stage import load_episodes
from tests.dataset.conftest import Content, make_task, publish, run_stage, spin, version_of


def pack_all(task, contents, folder):
    """Pack episodes without a previous version."""
    home = Home(Path(tempfile.mkdtemp(dir=folder.parent)))
    episodes = load_episodes(home, publish(home, contents))
    return pack(task, EpisodeSet(episodes, SplitContext()), folder)


def test_every_row_comes_back_in_the_task_order_states_first(home, contents):
    artifact = run_stage(home, contents)
    dataset = load_dataset(home, artifact.ref)
    assert dataset.columns == ["angle", "speed", "torque"]
    assert dataset.values.dtype == np.float32
    assert dataset.values.flags.c_contiguous
    splits = [episode.split for episode in dataset.episodes]
    assert splits == ["train", "train", "validation", "test"]
    by_name = {content.name: content for content in contents}
    for episode in dataset.episodes:
        expected = by_name[episode.name].values.copy()
        expected[:, 0] -= whole_turns(expected[0, 0], True)
        np.testing.assert_allclose(dataset.rows(episode), expected, rtol=1e-6)  # float32
    assert artifact.summary["rows"] == {"train": 100, "validation": 50, "test": 50, "unused": 0}
    assert dataset.units == {"angle": "rad", "speed": "rad/s", "torque": "N*m"}
    assert dataset.angles == ["angle"]


def test_the_same_episodes_make_the_same_version_and_a_new_one_another(home, contents):
    first = run_stage(home, contents)
    again = run_stage(home, list(reversed(contents)))
    assert (again.cached, again.ref) == (True, first.ref)
    again = dataset_stage.run(make_task(), home, publish(home, contents, quarantine=["broken.csv"]))
    assert (again.cached, again.ref) == (True, first.ref)
    grown = run_stage(home, [*contents, spin("c.csv")])
    assert not grown.cached
    assert grown.summary["episodes"]["train"] == 3


def test_another_shortest_piece_makes_another_version(home):
    episodes = publish(home, [spin("a.csv"), spin("b.csv", rows=80), spin("test.csv")])

    def validation_rows(shortest: int) -> int:
        task = make_task(validation={"tail": 0.3})
        rules = task.validation.model_copy(update={"min_steps": shortest})
        artifact = dataset_stage.run(task.model_copy(update={"validation": rules}), home, episodes)
        return artifact.summary["rows"]["validation"]

    assert [validation_rows(10), validation_rows(20)] == [15 + 24, 24]


def test_validation_and_test_data_cannot_change_the_statistics(tmp_path, contents):
    plain = pack_all(make_task(), contents, tmp_path).statistics
    wild = [
        content if content.name in {"a.csv", "b.csv"} else spin(content.name, 1e3, -50.0, 77)
        for content in contents
    ]
    assert pack_all(make_task(), wild, tmp_path).statistics == plain


def test_statistics_are_those_of_the_training_rows(tmp_path, contents):
    # Two training episodes of 50 rows: torque counts 0..49, whose standard deviation is
    # sqrt((50^2 - 1) / 12) = 14.4308697; the angle grows by 0.03 rad in every row.
    statistics = pack_all(make_task(), contents, tmp_path).statistics
    assert statistics["torque"].mean == pytest.approx(24.5, rel=1e-12)
    assert statistics["torque"].std == pytest.approx(14.430869689661812, rel=1e-12)
    assert statistics["speed"].std == pytest.approx(0.0, abs=1e-12)
    assert statistics["angle"].delta_std == pytest.approx(0.0, abs=1e-9)


def test_delta_std_does_not_see_the_jump_of_a_wrapped_angle(tmp_path, contents):
    # Alternating steps of 1.0 and 1.2 rad over many turns: standard deviation 0.1 rad exactly.
    # Wrapped to [-π, π) every sixth step would be near -5.2 rad.
    angle = np.concatenate([[0.0], np.cumsum(np.tile([1.0, 1.2], 50))])
    turning = Content("a.csv", np.stack([angle, angle * 0, angle * 0], axis=1))
    others = [content for content in contents if content.name in {"val.csv", "test.csv"}]
    statistics = pack_all(make_task(), [turning, *others], tmp_path).statistics
    assert statistics["angle"].delta_std == pytest.approx(0.1, rel=1e-9)


def test_an_angle_of_many_turns_keeps_its_resolution_in_float32(home, contents):
    turns = 2.0 * pi * 1_000_000
    far = [
        replace(item, values=spin(item.name).values + np.array([turns, 0, 0])) for item in contents
    ]
    dataset = version_of(home, far)
    for episode in dataset.episodes:
        # float32 near 6e6 rad resolves 0.5 rad only; float64 there 1e-9 rad.
        np.testing.assert_allclose(dataset.rows(episode)[:, 0], 0.03 * np.arange(50), atol=2e-7)


@given(st.floats(-1e6, 1e6))
def test_whole_turns_leave_an_angle_within_half_a_turn(angle):
    turns = float(whole_turns(np.float64(angle), True))
    rest = angle - turns
    assert -pi - 1e-9 <= rest <= pi + 1e-9  # 1e-9: float64 at 1e6 rad
    assert turns / (2.0 * pi) == pytest.approx(round(turns / (2.0 * pi)))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.floats(-1e3, 1e3))
def test_what_never_changes_deviates_by_nothing_at_all(sizes, value):
    pieces = np.array([moments(np.full((size, 1), value)) for size in sizes])
    mean, std = join(np.array(sizes), pieces)
    assert (mean[0], std[0]) == (value, 0.0)


def test_a_non_finite_value_is_refused_with_its_place(tmp_path, contents):
    contents[1].values[7, 1] = np.nan
    with pytest.raises(CorruptArtifact, match="row 7, speed"):
        pack_all(make_task(), contents, tmp_path)
    contents[1].values[7, 1] = 1e300
    with pytest.raises(CorruptArtifact, match=r"row 7, speed: 1e\+300"):
        pack_all(make_task(), contents, tmp_path)


def test_unused_recordings_are_counted_but_not_packed(tmp_path, contents):
    summary = pack_all(make_task(unused=["b*", "nope*"]), contents, tmp_path)
    assert summary.episodes == {"train": 1, "validation": 1, "test": 1, "unused": 1}
    assert summary.rows["unused"] == 50
    assert summary.unmatched == ["unused: 'nope*'"]
    shapes = [np.load(path).shape for path in tmp_path.glob("values-*.npy")]
    assert shapes == [(50, 3)] * 3


@pytest.mark.ci
@given(st.lists(st.integers(2, 40), min_size=3, max_size=7), st.integers(1, 12), st.integers(1, 5))
def test_windows_never_cross_episodes(tmp_path_factory, sizes, length, stride):
    names = ["val.csv", "test.csv", *(f"run{n}.csv" for n in range(len(sizes) - 2))]
    contents = [spin(name, rows=rows) for name, rows in zip(names, sizes, strict=True)]
    dataset = packed(contents, tmp_path_factory.mktemp("windows"))
    owner = np.repeat(range(len(dataset.episodes)), [e.rows for e in dataset.episodes])
    starts = dataset.window_starts("train", length, stride)
    assert starts.dtype == np.int64
    for start in starts:
        window = owner[start : start + length]
        assert len(window) == length
        assert len(set(window)) == 1
    per_episode = [max(0, (rows - length) // stride + 1) for rows in sizes[2:]]
    assert len(starts) == sum(per_episode)


def packed(contents, folder):
    pack_all(make_task(), contents, folder)
    return read_packed(folder)


def test_a_window_of_no_rows_and_an_unknown_split_are_refused(tmp_path, contents):
    dataset = packed(contents, tmp_path)
    with pytest.raises(BadInput, match=">= 1"):
        dataset.window_starts("train", 0)
    with pytest.raises(BadInput, match="train, validation, test"):
        dataset.of("trian")
