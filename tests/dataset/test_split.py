"""The split: a rule that looks at one recording alone."""

import json
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemill.dataset import load_dataset, show_dataset
from kinemill.dataset.split import (
    SplitContext,
    cut_pieces,
    piece_table,
    position,
    share_side,
    unmatched_patterns,
)
from kinemill.dataset.trainable import check_sides
from kinemill.errors import BadInput
from kinemill.task import Dataset
from tests.dataset.conftest import log, make_task, run_stage, spin

logs = st.lists(
    st.builds(log, st.integers(0, 10_000), st.integers(1, 400), st.integers(0, 3)),
    max_size=40,
    unique_by=lambda item: item.id,
)
shares = st.floats(0.05, 0.4)
rules = st.builds(
    Dataset,
    validation=st.one_of(
        shares, shares.map(lambda tail: {"tail": tail}), st.just(["run-00*", "run-1?.csv"])
    ),
    test=st.one_of(shares, st.just(["run-2*"])),
    unused=st.sampled_from([[], ["*7*"]]),
)


@given(rules, logs)
def test_pieces_of_one_recording_stay_together_and_cover_every_row_once(rule, episodes):
    pieces = cut_pieces(rule, episodes)
    for item in episodes:
        mine = [piece for piece in pieces if piece.episode == item.id]
        assert sum(piece.last - piece.first for piece in mine) == item.rows
        assert mine[0].first == 0
        assert mine[-1].last == item.rows
    for recording in {item.recording for item in episodes}:
        splits = {piece.split for piece in pieces if piece.recording == recording}
        if isinstance(rule.validation, float | list):
            assert len(splits) == 1
        else:
            assert splits <= {"train", "validation"} or len(splits) == 1


def test_the_place_of_a_recording_is_fixed_for_ever():
    # python3 -c "import hashlib; print(int.from_bytes(hashlib.sha256(b'splitabc')
    #   .digest()[:8],'big')/2**64)"
    assert position("abc") == 0.5592494306650524


def test_shares_are_met_by_many_recordings():
    rule = Dataset(test=0.2, validation=0.15)
    splits = [share_side(rule, item.recording) for item in map(log, range(4000))]
    # Three standard deviations of a binomial of 4000 at 0.2 and 0.15: 0.019 and 0.017.
    assert splits.count("test") / 4000 == pytest.approx(0.2, abs=0.019)
    assert splits.count("validation") / 4000 == pytest.approx(0.15, abs=0.017)


def test_the_tail_is_the_last_tenth_of_every_training_episode():
    pieces = cut_pieces(Dataset(validation={"tail": 0.1}, test=["run-001*"]), [log(0), log(1)])
    assert [(piece.id[16:], piece.split, piece.first, piece.last) for piece in pieces] == [
        ("-0000", "train", 0, 90),
        ("-0000-rows90", "validation", 90, 100),
        ("-0000", "test", 0, 100),
    ]


BLOCKS = Dataset(validation={"blocks": 0.15}, test=["x"])


def test_blocks_are_a_share_of_every_section_of_an_episode():
    pieces = cut_pieces(BLOCKS, [log(0, rows=8000)], shortest=20)
    edges = [pieces[0].first, *(piece.last for piece in pieces)]
    assert (edges[0], edges[-1], edges) == (0, 8000, sorted(edges))  # nothing is lost or doubled
    blocks = [piece for piece in pieces if piece.split == "validation"]
    assert [(piece.last - piece.first, piece.first // 2000) for piece in blocks] == [
        (300, section) for section in range(4)
    ]
    assert {piece.split for piece in pieces} == {"train", "validation"}
    assert len({piece.id for piece in pieces}) == len(pieces)


def test_a_short_episode_gives_one_block_at_a_place_that_follows_from_its_content():
    episodes = [log(number, rows=1000) for number in range(40)]
    firsts = []
    for episode in episodes:
        alone = cut_pieces(BLOCKS, [episode], shortest=20)
        (block,) = (piece for piece in alone if piece.split == "validation")
        firsts.append(block.first)
        assert block.last - block.first == 150
        assert [
            piece for piece in cut_pieces(BLOCKS, episodes, 20) if piece.episode == episode.id
        ] == alone
    assert min(firsts) < 200  # at the start
    assert max(firsts) > 650  # at the end


def test_training_rows_beside_a_block_that_hold_no_window_are_unused():
    splits = {
        piece.split
        for number in range(200)
        for piece in cut_pieces(BLOCKS, [log(number, rows=1000)], shortest=100)
        if piece.last - piece.first < 100
    }
    assert splits == {"unused"}


@pytest.mark.parametrize(
    ("validation", "short", "enough"), [({"blocks": 0.15}, 120, 1000), ({"tail": 0.1}, 190, 200)]
)
def test_an_episode_whose_share_holds_no_window_stays_whole_in_training(validation, short, enough):
    """The block of 120 rows would be 18 rows, the tail of 190 rows 19."""
    rule = Dataset(validation=validation, test=["x"])
    (piece,) = cut_pieces(rule, [log(0, rows=short)], shortest=20)
    assert (piece.split, piece.last) == ("train", short)
    assert len(cut_pieces(rule, [log(0, rows=enough)], shortest=20)) > 1


@pytest.mark.parametrize(
    ("rules", "messages"),
    [
        (
            {"validation": {"blocks": 0.15}, "test": ["run-001*"]},
            ["give 0.15 of it away", "a larger share"],
        ),
        (
            {"validation": {"tail": 0.1}, "test": ["run-001*"]},
            ["last 0.1 of it away", "a larger share"],
        ),
        (
            {"validation": 0.01, "test": ["run-000*"]},
            ["share 0.01 of 2 recordings leaves it empty", "validation: {blocks: 0.15}"],
        ),
        (
            {"validation": {"tail": 0.1}, "test": ["*traj03*", "*traj9*"]},
            ["nothing matches test: '*traj03*', test: '*traj9*'", "run-000.csv, run-001.csv"],
        ),
        ({"validation": ["run-000*"], "test": ["run-*"]}, ["an earlier rule takes all"]),
        ({"validation": ["run-000*"], "test": ["run-001*"]}, ["nothing is left for training"]),
    ],
)
def test_a_side_that_stays_empty_is_refused_with_its_cause(rules, messages):
    selection = make_task(**rules)
    pieces = cut_pieces(selection.dataset, [log(0), log(1)], shortest=20)
    with pytest.raises(BadInput) as caught:
        check_sides(selection, piece_table(pieces).lazy())
    assert all(message in str(caught.value) for message in messages)


def test_no_episode_at_all_points_to_the_quarantine():
    with pytest.raises(BadInput, match="quarantine"):
        check_sides(make_task(), piece_table([]).lazy())


def test_only_patterns_without_any_match_are_listed():
    rule = Dataset(validation={"tail": 0.1}, test=["run-0*", "nope*"], unused=["*7col*"])
    assert unmatched_patterns(rule, ["run-000.csv"]) == ["unused: '*7col*'", "test: 'nope*'"]


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


def test_the_session_comes_from_the_name_and_patterns_are_on_it(home):
    names = ["mon/a-1.csv", "mon/b-2.csv", "tue/a-1x.csv", "tue/b-2x.csv", "wed/a-3.csv"]
    task = by_session(validation=["tue"], test=["wed"], unused=["*b-2x*"])
    artifact = run_stage(home, [spin(name) for name in names], task)
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
    artifact = run_stage(home, contents, task)
    assert artifact.summary["episodes"] == {"train": 1, "validation": 1, "test": 1, "unused": 0}


def test_a_recording_of_unknown_session_is_named_with_what_to_do(home):
    names = ["mon/a-1.csv", "a.csv"]
    with pytest.raises(BadInput) as caught:
        run_stage(home, [spin(name) for name in names], by_session())
    assert "group_by: session: is not known of 1 recordings, such as a.csv" in str(caught.value)
    assert "(?P<session>...)" in str(caught.value)


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
