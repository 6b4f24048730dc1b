"""Shares that select no recording: which one fills the side, and that nothing moves later."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemill.dataset.assignment import fill_sides
from kinemill.dataset.split import SplitContext, position
from kinemill.errors import BadInput
from kinemill.task import Dataset
from tests.dataset.conftest import Content, log, make_task, run_stage, spin, version_of

share = st.floats(0.001, 0.45)
rules = st.builds(
    Dataset,
    validation=st.one_of(share, share.map(lambda tail: {"tail": tail}), st.just(["*7.csv"])),
    test=st.one_of(share, st.just(["*1.csv"])),
    unused=st.sampled_from([[], ["*9.csv"]]),
)
batches = st.lists(st.lists(st.integers(0, 10_000), min_size=1, max_size=12), max_size=6)


def sides_of(rule: Dataset, context: SplitContext, logs: list[Content]) -> dict[str, str]:
    return {log.name: context.side(rule, log) for log in logs}


@settings(max_examples=75)
@given(rules, batches, st.booleans())
def test_no_recording_changes_its_side_as_data_grow(rule, grown, in_sessions):
    logs: dict[str, Content] = {}
    context, earlier = SplitContext(), dict[str, str]()
    for batch in grown:
        logs |= {one.name: one for one in map(log, batch)}
        listed = list(logs.values())
        if in_sessions:
            groups = {one.recording: f"day-{len(one.name)}-{one.name[-5]}" for one in listed}
            context = replace(context, groups=groups)
        used = {logs[name].recording for name in earlier}
        new = fill_sides(rule, listed, context, used)
        assert not set(new) & set(context.assigned)
        context = replace(context, assigned={**context.assigned, **new})
        splits = sides_of(rule, context, listed)
        assert {name: splits[name] for name in earlier} == earlier
        if {"train", "test", "validation"} - set(splits.values()) == set():
            earlier = splits  # a dataset version: from here on nothing moves


@settings(max_examples=50)
@given(share, share, st.sets(st.integers(0, 10_000), min_size=3, max_size=40))
def test_three_recordings_are_enough_for_three_sides_whatever_the_shares(validation, test, numbers):
    rule, logs = Dataset(validation=validation, test=test), [*map(log, numbers)]
    new = fill_sides(rule, logs, SplitContext())
    splits = sides_of(rule, SplitContext(assigned=new), logs)
    assert set(splits.values()) == {"train", "validation", "test"}
    assert new == fill_sides(rule, list(reversed(logs)), SplitContext())  # no matter in which order


def test_the_first_by_hash_among_the_training_recordings_fill_a_short_split():
    logs = [*map(log, range(14))]
    rule = Dataset(validation=1e-6, test=1e-6)
    ranked = sorted(logs, key=lambda log: position(log.recording))
    expected = {**{log.recording: "test" for log in ranked[:5]}, ranked[5].recording: "validation"}
    assert fill_sides(rule, logs, SplitContext()) == expected


@settings(max_examples=50)
@given(share, st.sets(st.integers(0, 10_000), min_size=10, max_size=60))
def test_ten_recordings_or_more_leave_the_gate_five_test_recordings(test, numbers):
    rule = Dataset(validation=0.1, test=test)
    logs = [*map(log, numbers)]
    context = SplitContext(assigned=fill_sides(rule, logs, SplitContext()))
    assert [*sides_of(rule, context, logs).values()].count("test") >= 5


def test_fourteen_recordings_and_a_share_of_a_tenth_make_a_dataset_that_grows(home):
    task = make_task(validation=0.001, test=0.001)
    contents = [spin(f"run-{number}.csv") for number in range(14)]
    first = version_of(home, contents, task)
    assert {split: len(first.of(split)) for split in ("train", "validation", "test")} == {
        "train": 8, "validation": 1, "test": 5,
    }  # fmt: skip
    more = [*contents, *(spin(f"more-{number}.csv") for number in range(30))]
    grown = version_of(home, more, task)
    partitions = {episode.id: episode.split for episode in grown.episodes}
    assert {episode.id: episode.split for episode in first.episodes}.items() <= partitions.items()
    again = run_stage(home, contents, task)
    assert again.cached


def test_a_side_that_lost_its_only_recording_takes_a_new_one_and_moves_no_other(home):
    task = make_task(validation={"tail": 0.5}, test=0.001)
    contents = [spin(f"run-{number}.csv") for number in range(4)]
    first = version_of(home, contents, task)
    (lost,) = first.of("test")
    remaining = [one for one in contents if one.name != lost.name]
    with pytest.raises(BadInput, match=r"dataset\.test: the share 0\.001 of 3 recordings"):
        run_stage(home, remaining, task)
    grown = version_of(home, [*remaining, spin("new.csv")], task)
    assert [one.name for one in grown.of("test")] == ["new.csv"]
