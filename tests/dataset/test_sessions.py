"""Splits by session: what was recorded together stays together."""

import json
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemill.dataset import load_dataset, show_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.split import SplitContext, cut_pieces, share_side
from kinemill.errors import BadInput
from kinemill.task import Dataset
from tests.dataset.conftest import make_task, publish, spin

NAMES = {"meta": {"name": r"(?P<session>[^/]+)/(?P<robot>\w+)-.*"}}


def by_session(**dataset):
    return make_task({"ingest": NAMES}, group_by="session", **dataset)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 5)), min_size=1, unique=True))
def test_all_recordings_of_a_session_are_on_one_side(pairs):
    episodes = [spin(f"{session}/a-{number}.csv", rows=9) for session, number in pairs]
    groups = {episode.recording: episode.name.split("/")[0] for episode in episodes}
    splits = defaultdict(set)
    for piece in cut_pieces(Dataset(group_by="session"), episodes, context=SplitContext(groups)):
        splits[groups[piece.recording]].add(piece.split)
    assert all(len(of_one) == 1 for of_one in splits.values())


def test_about_the_share_of_sessions_asked_for_goes_to_each_side():
    rules = Dataset(group_by="session", validation=0.15, test=0.2)
    splits = [share_side(rules, str(session)) for session in range(4000)]
    # 4 standard deviations of a binomial: 0.025.
    assert splits.count("test") / 4000 == pytest.approx(0.2, abs=0.026)
    assert splits.count("validation") / 4000 == pytest.approx(0.15, abs=0.023)


def test_the_session_comes_from_the_name_and_patterns_are_on_it(home):
    names = ["mon/a-1.csv", "mon/b-2.csv", "tue/a-1x.csv", "tue/b-2x.csv", "wed/a-3.csv"]
    task = by_session(validation=["tue"], test=["wed"], unused=["*b-2x*"])
    artifact = dataset_stage.run(task, home, publish(home, [spin(name) for name in names]))
    dataset = load_dataset(home, artifact.ref)
    assert {episode.name: episode.split for episode in dataset.episodes} == {
        "mon/a-1.csv": "train", "mon/b-2.csv": "train", "tue/a-1x.csv": "validation",
        "wed/a-3.csv": "test",
    }  # fmt: skip
    rows = show_dataset(home, "arm")["list"]["episodes"]
    assert {row["name"]: row["group"] for row in rows}["tue/b-2x.csv"] == "tue"


def test_a_side_car_names_the_session_too(home):
    contents = [spin(name) for name in ("a.csv", "b.csv", "c.csv")]
    folder = home.store / "members" / "arm"
    folder.mkdir(parents=True)
    for content, day in zip(contents, ("mon", "tue", "wed"), strict=True):
        entry = {"hash": content.recording, "name": content.name, "bytes": 1, "suffix": ".csv"}
        text = json.dumps({**entry, "meta": {"session": day}})
        (folder / f"{content.recording}.json").write_text(text)
    task = make_task(group_by="session", validation=["tue"], test=["wed"])
    artifact = dataset_stage.run(task, home, publish(home, contents))
    assert artifact.summary["episodes"] == {"train": 1, "validation": 1, "test": 1, "unused": 0}


def test_a_recording_of_unknown_session_is_named_with_what_to_do(home):
    names = ["mon/a-1.csv", "a.csv"]
    with pytest.raises(BadInput) as caught:
        dataset_stage.run(by_session(), home, publish(home, [spin(name) for name in names]))
    assert "group_by: session: is not known of 1 recordings, such as a.csv" in str(caught.value)
    assert "(?P<session>...)" in str(caught.value)


def test_a_share_too_small_for_so_few_sessions_still_gets_one(home):
    task = by_session(validation={"tail": 0.5}, test=0.001)
    contents = [spin("mon/a-1.csv"), spin("mon/b-1.csv"), spin("tue/a-1.csv")]
    dataset = load_dataset(home, dataset_stage.run(task, home, publish(home, contents)).ref)
    splits = defaultdict(set)
    for episode in dataset.episodes:
        splits[episode.name.split("/")[0]].add(episode.split)
    assert sorted(map(sorted, splits.values())) == [["test"], ["train", "validation"]]


def test_parts_of_one_recording_stay_together_unless_they_are_episodes_of_their_own():
    episodes = [replace(spin("bag.h5"), part=f"demo_{k}", piece=k) for k in range(400)]
    for by, splits in (("recording", 1), ("part", 3)):
        rules = Dataset(group_by=by, validation=0.3, test=0.3)
        pieces = cut_pieces(rules, episodes)
        assert len({piece.split for piece in pieces}) == splits
    # A part's side depends on nothing but itself: without the others it is the same.
    alone = [cut_pieces(rules, [episode])[0].split for episode in episodes]
    assert alone == [piece.split for piece in pieces]


def test_a_pattern_may_name_one_part_of_a_recording():
    episodes = [replace(spin("bag.h5"), part=f"demo_{k}", piece=k) for k in range(3)]
    rules = Dataset(test=["*/demo_1"], validation=[{"rows": [40, None], "of": "bag.h5/demo_2"}])
    metadata = [(piece.split, piece.first, piece.last) for piece in cut_pieces(rules, episodes)]
    assert metadata == [
        ("train", 0, 50), ("test", 0, 50), ("train", 0, 40), ("validation", 40, 50),
    ]  # fmt: skip
