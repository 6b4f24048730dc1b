"""How much of validation and test repeats the training rows: near-duplicates, periodic tails."""

import numpy as np
import polars as pl
import pytest

from kinemill.dataset import DatasetSummary, show_dataset
from kinemill.dataset.leakage import find_related, find_torn_duplicates
from kinemill.dataset.multi_task import duplicates_of, roots_of
from kinemill.dataset.split import SplitContext, cut_pieces, piece_table, position
from kinemill.dataset.summary import Leakage, NearDuplicates
from kinemill.errors import BadInput
from kinemill.store import publish_json
from tests.dataset.conftest import Content, make_task, run_stage, spin

ROWS = 3000
TAIL = {"validation": {"tail": 0.2}, "test": ["test*"]}


def course(torque):
    """Angle, speed and torque (rows, 3) of a driven, damped pendulum, steps of 10 ms."""
    angle, speed, rows = 0.0, 0.0, []
    for push in torque:
        rows.append((angle, speed, push))
        speed += 0.01 * (push - 9.81 * np.sin(angle) - 0.5 * speed)
        angle += 0.01 * speed
    return np.array(rows, dtype=np.float64)


def periodic(phase=0.0):
    return course(4.0 * np.sin(2.0 * np.pi * 0.7 * 0.01 * np.arange(ROWS) + phase))


def random(seed):
    steps = np.random.default_rng(seed).normal(0.0, 5.0, ROWS // 20)
    return course(np.repeat(steps, 20))


def turning(rows=ROWS):
    """A wheel that turns on: the angle grows, and the motion repeats each turn."""
    time = 0.01 * np.arange(rows)
    return np.stack([5.0 * time, np.full(rows, 5.0), np.sin(5.0 * time)], axis=1)


def made(home, *contents, **dataset):
    artifact = run_stage(home, list(contents), make_task(**dataset))
    return DatasetSummary.of(artifact)


def of_leakage(summary):
    """Return the warnings of a summary without that about the range of small test splits."""
    return [line for line in summary.warnings if not line.startswith("test rows are outside")]


def leakage(summary, side):
    return summary.independence[side]


def resting():
    values = random(0)
    values[-ROWS // 2 :] = values[-ROWS // 2]
    values[-ROWS // 2 :, 1] = 0.0
    return values


NOISE = np.random.default_rng(0).normal(0.0, 0.01, (ROWS, 3))
MOTIONS = {
    "periodic": (periodic() + NOISE, 1.0),
    "turning": (turning(), 1.0),
    "another excitation": (random(0), 0.0),
    "resting at the end": (resting(), 0.0),
}


@pytest.mark.parametrize(("values", "repeated"), MOTIONS.values(), ids=MOTIONS)
def test_a_tail_repeats_the_training_rows_if_the_motion_does_and_is_reported(
    home, values, repeated
):
    summary = made(home, Content("a.csv", values), Content("test.csv", random(1)), **TAIL)
    assert leakage(summary, "validation").repetitions == repeated
    assert leakage(summary, "test") == Leakage(0.0, 0.0)
    warning = "about 100% of the validation rows repeat a motion of the training"
    assert [line[: len(warning)] for line in of_leakage(summary)] == [warning] * int(repeated)


def test_test_rows_outside_the_training_range_are_reported_by_channel(home):
    larger = random(0)
    larger[:, 2] *= 2.0
    larger[: ROWS // 4, 2] = 100.0
    summary = made(home, Content("a.csv", random(0)), Content("test.csv", larger), **TAIL)
    outside = {name: share for name, share in summary.outside.items() if share >= 0.1}
    assert list(outside) == ["torque"]
    assert outside["torque"] >= 0.25
    (line,) = set(summary.warnings) - set(of_leakage(summary))
    assert f"(torque {outside['torque']:.0%})" in line


@pytest.mark.parametrize("repeats", ["together", "apart"])
@pytest.mark.parametrize(("noise", "shares"), [(0.0, (0.5, 0.0)), (0.01, (0.0, 0.5))])
def test_test_recordings_of_the_same_run_are_copies_unless_their_noise_is_new(
    home, repeats, noise, shares
):
    new = np.random.default_rng(0).normal(0.0, noise, (ROWS, 3))
    first = Content("a.csv", random(0))
    again = Content("test1.csv", random(0) + new)
    note(home, again, first)
    others = Content("test2.csv", random(5)), Content("val.csv", random(7))
    summary = made(home, first, again, *others, near_duplicates=repeats)
    assert leakage(summary, "test") == Leakage(*shares)
    assert any("near-duplicates are in different splits" in line for line in summary.warnings)


def test_test_rows_cut_from_a_periodic_recording_count(home):
    summary = made(
        home,
        Content("a.csv", periodic()),
        Content("val.csv", random(3)),
        test={"rows": [2000, 2600], "of": "a.csv"},
        validation=["val*"],
    )
    assert leakage(summary, "test").repetitions == 1.0


def test_tails_of_two_recordings_of_the_same_run_are_not_in_the_training_rows(home):
    first, again = Content("a.csv", random(0)), Content("b.csv", random(0))
    note(home, again, first)
    summary = made(home, first, again, Content("test.csv", random(1)), **TAIL)
    assert leakage(summary, "validation") == Leakage(0.0, 0.0)
    assert of_leakage(summary) == []


def note(home, later, earlier, parts=None):
    """The note that `validate` leaves on a recording that repeats another."""
    path = home.store / "duplicates" / "arm" / f"{later.recording}.json"
    root = earlier.recording if earlier else None
    publish_json(
        path, {"format": 1, "recording": later.recording, "root": root, "parts": parts or {}}
    )


def splits(pieces):
    return {piece.name: piece.split for piece in pieces}


SHARES = {"validation": 0.3, "test": 0.3}


def test_a_repeat_is_on_the_side_of_what_it_repeats_and_nobody_else_moves(home):
    rules = make_task(**SHARES)
    runs = [spin(f"run{k}.csv") for k in range(60)]
    alone = splits(cut_pieces(rules.dataset, runs))
    for later, earlier in zip(runs[30:], runs[:30], strict=True):
        note(home, later, earlier)
    context = SplitContext(roots=roots_of(rules, duplicates_of(rules, home, runs)))
    after = splits(cut_pieces(rules.dataset, runs, context=context))
    assert all(after[f"run{k + 30}.csv"] == after[f"run{k}.csv"] for k in range(30))
    assert all(after[f"run{k}.csv"] == alone[f"run{k}.csv"] for k in range(30))
    assert sum(after[name] != alone[name] for name in after) >= 5  # else this proves nothing
    table = piece_table(cut_pieces(rules.dataset, runs, context=context))
    table = table.with_columns(pl.col("split").alias("side"))
    related = find_related(rules.dataset, table.with_columns(part=pl.lit("")).lazy(), context)
    assert len({one.root for one in related}) == 30
    assert find_torn_duplicates(related, context) == NearDuplicates(recordings=30)


def test_repeats_that_patterns_put_apart_are_told(home, contents):
    a, val, b = (next(c for c in contents if c.name == n) for n in ("a.csv", "val.csv", "b.csv"))
    note(home, val, a)
    note(home, b, a)
    summary = made(home, *contents)
    listed = [{"train": ["a.csv", "b.csv"], "validation": ["val.csv"]}]
    assert summary.repeats == NearDuplicates(recordings=2, torn=1, listed=listed)
    (warning,) = of_leakage(summary)
    assert "train: a.csv, b.csv; validation: val.csv" in warning
    assert show_dataset(home, "arm")["warnings"] == summary.warnings
    rest = [*contents, spin("c.csv")]
    assert of_leakage(made(home, *rest, unused=["a*", "b*"])) == []


def test_a_note_made_later_makes_a_new_version_and_apart_ignores_it(home, contents):
    first = run_stage(home, contents)
    note(home, contents[3], contents[1])
    second = run_stage(home, contents)
    assert first.ref != second.ref
    apart = run_stage(home, contents, make_task(near_duplicates="apart"))
    assert apart.summary["repeats"]["recordings"] == 0


def test_parts_follow_parts_where_the_split_is_by_part(home):
    rules = make_task(group_by="part", **SHARES)
    demos = [Content("bag.h5", spin("x").values, piece=k, part=f"demo_{k}") for k in range(40)]
    recording = demos[0].recording
    parts = {f"demo_{k + 20}": f"{recording}/demo_{k}" for k in range(20)}
    note(home, demos[0], None, parts)
    context = SplitContext(roots=roots_of(rules, duplicates_of(rules, home, demos)))
    split = {
        piece.episode: piece.split for piece in cut_pieces(rules.dataset, demos, context=context)
    }
    assert all(split[demos[k].id] == split[demos[k + 20].id] for k in range(20))
    assert len(set(split.values())) == 3
    by_recording = make_task(**SHARES)
    assert duplicates_of(by_recording, home, demos) == {}


def test_an_empty_side_is_told_that_repeats_stay_together(home):
    runs = [spin(f"run{k}.csv") for k in range(12)]
    first = min(runs, key=lambda run: abs(position(run.recording) - 0.9))  # a place of training
    for run in runs:
        if run is not first:
            note(home, run, first)
    with pytest.raises(BadInput, match=r"11 near-duplicates stay.*near_duplicates: apart"):
        run_stage(home, runs, make_task(**SHARES))
