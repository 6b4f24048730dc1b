"""Cross-validation of finalists: which recordings are held out, and what their errors become."""

import math
from dataclasses import replace

import pytest

from kinemill.selection.cross_validation import (
    HeldOut,
    best_of_families,
    folds_of,
    leaves_out_rows,
    projected,
    slow_finalists,
)
from kinemill.selection.validation_errors import CandidateErrors
from kinemill.task.portfolio import CandidateResult


def with_recordings(packed, *recordings):
    """Episodes of the packed dataset with these recordings, in order."""
    changed = zip(packed.episodes, recordings, strict=True)
    return replace(packed, episodes=[replace(one, recording=name) for one, name in changed])


def test_each_recording_is_held_out_once_and_never_fitted(packed):
    """Four training episodes of three recordings; validation is a block of one of them."""
    dataset = with_recordings(packed, "a", "b", "c", "a", "c")
    folds = folds_of((dataset, dataset), 5, 20)
    held_out = [{one.recording for one in fold.dataset.of("validation")} for fold in folds]
    assert held_out == [{"a"}, {"b"}, {"c"}]
    for fold, names in zip(folds, held_out, strict=True):
        for part in (fold.dataset, fold.training_set):
            assert not names & {one.recording for one in part.of("train")}
    assert len(folds[2].dataset.of("validation")) == 2  # its training and its validation block


def test_every_training_row_of_two_recordings_is_held_out_once(packed):
    """Three folds of 200 rows, of four training episodes with 150 rows each."""
    dataset = with_recordings(packed, "a", "b", "a", "b", "a")
    copies = [replace(one, id=f"{one.id}+mirror") for one in dataset.of("train")]
    training_set = replace(dataset, episodes=[*dataset.of("train"), *copies])
    folds = folds_of((dataset, training_set), 5, 20)
    held_out = [rows_of(fold.dataset.of("validation")) for fold in folds]
    assert [len(rows) for rows in held_out] == [200, 200, 200]
    assert set().union(*held_out) == rows_of(dataset.of("train"))
    for fold, rows in zip(folds, held_out, strict=True):
        assert rows_of(fold.training_set.of("train")) == rows_of(dataset.of("train")) - rows
        copied = [
            episode for episode in fold.training_set.episodes if episode.id.endswith("+mirror")
        ]
        assert rows_of(copied) == rows_of(dataset.of("train")) - rows


def rows_of(episodes):
    return {row for episode in episodes for row in range(episode.start, episode.stop)}


@pytest.mark.parametrize(
    ("history", "recording", "count"),
    [
        (5, "d", 3),  # one whole validation recording is too few to rank candidates
        (190, "a", 0),  # a fold holds no window
    ],
)
def test_folds_of_few_validation_recordings_cover_all_recordings(packed, history, recording, count):
    dataset = with_recordings(packed, "a", "b", "a", "b", recording)
    assert len(folds_of((dataset, dataset), history, 20)) == count


def test_folds_of_enough_validation_recordings_are_these_without_a_refit(packed):
    episodes = [
        replace(episode, split="validation" if number > 0 else "train")
        for number, episode in enumerate(packed.episodes)
    ]
    dataset = with_recordings(replace(packed, episodes=episodes), "a", "b", "c", "d", "e")
    (fold,) = folds_of((dataset, dataset), 5, 20)
    assert {one.recording for one in fold.dataset.of("validation")} == {"b", "c", "d", "e"}
    assert fold.training_set is None


def result(name, seconds=1.0, score=1.0):
    errors = {1: 0.01, 25: 0.1}
    return CandidateResult(name, "x", 0, 0, 10, seconds, 0.0, errors, 0.4, score)


def test_best_of_families_is_one_result_of_each_with_a_score():
    ordered = [
        result("narx, history 10"),
        result("rigid body, chain, history 10"),
        result("narx, history 5"),
        replace(result("gru, history 4"), score=None),
    ]
    assert best_of_families(ordered) == ordered[:2]


def slow_family(name, score, parameters):
    """Return a family whose fit takes 30 s."""
    return replace(result(f"{name}, history 1", 30.0, score), parameters=parameters, round=1)


def names_of_slow_finalists(families, quick=()):
    """Return the families to measure next; `quick` have these scores on left-out rows."""
    held_out = {
        entry.name: HeldOut(entry, [CandidateErrors({1: error}, error)]) for entry, error in quick
    }
    seconds = {family.name: family.seconds for family in families}
    selected = slow_finalists(families, held_out, seconds)
    return [family.name.partition(",")[0] for family in selected]


def test_slow_finalists_are_the_best_and_the_simplest_comes_first():
    families = [slow_family(f"net{at}", 0.1 * (1 + at), 10 + at) for at in range(8)]
    families.append(slow_family("rigid", 0.95, 5))
    names = names_of_slow_finalists(families)
    assert names == ["net0", "rigid", "net1", "net2", "net3", "net4", "net5"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (0.4, ["net"]),  # what is worse than it on the validation split is not worth its folds
        (math.inf, ["net", "rigid"]),  # it diverges on left-out rows, and says nothing
    ],
)
def test_slow_finalists_are_better_than_the_quick_family_that_is_best_on_left_out_rows(
    error, expected
):
    quick = replace(result("physics, history 1", 0.1, 0.2), parameters=100)
    families = [slow_family("net", 0.1, 10_000), quick, slow_family("rigid", 0.9, 5)]
    assert names_of_slow_finalists(families, [(quick, error)]) == expected
    closed = replace(families[2], round=0)
    assert "rigid" in names_of_slow_finalists([*families[:2], closed], [(quick, error)])


def test_slow_finalists_are_compared_with_a_slow_family_that_is_the_best():
    best = slow_family("net", 0.1, 10_000)
    families = [best, slow_family("rigid", 0.2, 5)]
    assert names_of_slow_finalists(families, [(best, 0.1)]) == ["rigid"]


def test_held_out_errors_are_the_mean_of_the_folds_and_one_that_diverges_counts():
    folds = [CandidateErrors({1: 0.1, 25: 0.2}, 0.3), CandidateErrors({1: 0.3, 25: 0.4}, 0.5)]
    mean = HeldOut(result("a"), folds).mean
    assert mean.errors == pytest.approx({1: 0.2, 25: 0.3})
    assert mean.score == pytest.approx((0.2 * 0.3 * 0.4) ** (1 / 3))
    diverging = CandidateErrors({1: 0.1, 25: math.nan}, math.inf)
    assert HeldOut(result("a"), [*folds, diverging]).mean.score is None


def held_out(*factors, last=1.0):
    """Errors of a candidate on three recordings, as factors of those of another one."""
    usual = (0.1, 0.2, 0.3)
    errors = [
        CandidateErrors({1: f * e, 25: f * e * last}, f * e)
        for f, e in zip(factors, usual, strict=True)
    ]
    return HeldOut(result("a"), errors)


@pytest.mark.parametrize(
    ("factors", "last", "expected"),
    [
        ((1.0, 1.0, 1.0), 1.0, True),
        ((1.02, 1.02, 1.02), 1.0, False),  # small, and on every fold
        ((1.005, 1.005, 1.005), 1.0, True),  # no gain for the gate
        ((0.9, 1.2, 1.05), 1.0, True),
        ((1.1, 1.2, 1.3), 1.0, False),
        ((0.8, 1.0, 1.3), 2.0, False),  # hidden in the score by the other errors
        ((1.0, 1.0, math.inf), 1.0, False),
    ],
)
def test_held_out_errors_are_as_good_within_one_standard_error(factors, last, expected):
    assert held_out(*factors, last=last).is_as_good_as(held_out(1.0, 1.0, 1.0)) is expected


def test_a_longer_training_does_not_change_what_is_new_in_new_recordings():
    before = replace(result("a"), errors={1: 0.04, 25: 0.3}, free_run=1.0)
    after = replace(result("a"), errors={1: 0.01, 25: 1e-9}, free_run=1e-9)
    expected = projected(CandidateErrors({1: 0.02, 25: 0.5}, 1.25), before, after)
    assert expected.by_horizon == pytest.approx({1: 0.005, 25: 0.4})  # 0.5² - 0.3² = 0.4²
    assert expected.free_run == pytest.approx(0.75)


def test_folds_of_few_recordings_leave_out_no_rows_of_the_validation_split(packed):
    few = with_recordings(packed, "a", "b", "a", "b", "a")
    several = with_recordings(packed, "a", "b", "c", "a", "c")
    assert [leaves_out_rows(dataset) for dataset in (few, several)] == [True, False]
