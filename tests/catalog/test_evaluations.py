"""Results of validation in the catalog: pages, findings, outliers and earlier sets."""

import pytest

from kinemill import catalog
from kinemill.catalog import evaluations
from kinemill.catalog.evaluations import (
    EpisodeRow,
    Evaluation,
    EvaluationSet,
    NewEvaluation,
    find_outliers,
    replace_outliers,
)
from kinemill.catalog.history import Head, head_of, set_head
from kinemill.catalog.tables import evaluated
from kinemill.store import ArtifactRef, digest
from tests.deploy.conftest import database as shared  # noqa: F401  (fixture)
from tests.deploy.conftest import postgres  # noqa: F401  (fixture)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(home, request):
    """A home whose catalog is a file, or in a database that machines share."""
    if request.param == "postgresql":
        request.getfixturevalue("shared")
    return home


def result(number, episodes=1, findings=None, **changes):
    hash_ = digest(number)
    values = {"hash": hash_, "name": f"{number}.csv", "read": digest(["read", number])}
    values |= {"ref": ArtifactRef(f"store/validated/arm/{number}", digest(["of", number]))}
    values |= {"released": False, "episodes": episodes, "rows": 10 * episodes, "dropped_rows": 0}
    values |= {"sketches": 0, "faulty": bool(findings), "held_back": not episodes} | changes
    listed = [
        EpisodeRow(f"{hash_[:16]}-{n:04d}", 10, 0.0, f"{n}.arrow", "") for n in range(episodes)
    ]
    return NewEvaluation(Evaluation(**values), f'{{"of": {number}}}', listed, findings or {})


def changed(home, *new, gone=(), named=True):
    """Enter results for those of before, as validation does; return the number of the change."""
    with catalog.transaction(home, write=True) as connection:
        head = head_of(connection, "arm", evaluated) or Head()
        hashes = {one.row.hash for one in new} | {digest(number) for number in gone}
        present = EvaluationSet(home, "arm", head.change, connection).find(hashes)
        old = [row for row, _ in present.values()]
        change, set_ = evaluations.replace(connection, "arm", head, old, new)
        set_head(connection, "arm", evaluated, Head(change, set_, "rules"), named=named)
    return evaluations.read_head(home, "arm")


def numbers(rows):
    return sorted(int(row.name.partition(".")[0]) for row in rows)


def test_every_earlier_set_keeps_its_rows_documents_and_episodes(place):
    first = changed(place, result(1), result(2, episodes=2))
    second = changed(place, result(2, episodes=0), result(3), gone=[1])
    earlier, later = (EvaluationSet(place, "arm", head.change) for head in (first, second))
    assert [numbers(earlier), numbers(later)] == [[1, 2], [2, 3]]
    assert earlier.find([digest(2)])[digest(2)][1] == '{"of": 2}'
    assert len([*earlier.episodes()]) == 3
    assert [episode.name for episode in later.episodes()] == ["3.csv"]
    assert [episode.recording for episode in earlier.episodes([digest(2)])] == [digest(2)] * 2
    assert later.changed_since(first.change) == {digest(number) for number in (1, 2, 3)}
    assert changed(place, result(1), result(2, episodes=2), gone=[3]).set == first.set


def test_a_page_of_what_is_held_back_leaves_out_decided_ones(place):
    changed(place, *(result(number, episodes=number % 2) for number in range(40)))
    every = sorted(digest(number) for number in range(0, 40, 2))
    omitted, rows = evaluations.held_back(place, "arm", [], 5, 3)
    assert (omitted, [row.hash for row in rows]) == (0, every[5:8])
    omitted, rows = evaluations.held_back(place, "arm", [every[0], every[6], digest(1)], 4, None)
    assert (omitted, [row.hash for row in rows]) == (2, [every[5], *every[7:]])
    assert evaluations.quarantined_names(place, "arm", 3) == ["0.csv", "10.csv", "12.csv"]


def test_recordings_with_a_finding_are_those_of_the_last_change(place):
    changed(place, *(result(number, findings={"limits": (3, 7)}) for number in range(9)), result(9))
    changed(place, result(4), gone=[2])
    expected = sorted(digest(number) for number in (0, 1, 3, 5, 6, 7, 8))
    assert evaluations.faulty(place, "arm", "limits", 20) == expected
    assert evaluations.faulty(place, "arm", "limits", 2) == expected[:2]
    assert evaluations.faulty(place, "arm", "spike", 2) == []
    rows = evaluations.last_set(place, "arm").first(2, "evaluated.faulty = 0")
    assert all(not row.faulty for row, _ in rows)


def test_outliers_are_replaced_for_some_recordings_or_for_all(place):
    def listed(*some):
        return [("units", digest(number), f"{number}.csv", str(number)) for number in some]

    with catalog.transaction(place, write=True) as connection:
        replace_outliers(connection, "arm", listed(3, 1, 2), None)
        replace_outliers(connection, "arm", listed(5), [digest(1), digest(9)])
    assert find_outliers(place, "arm", "units", 2) == (3, ["2", "3"])
    with catalog.transaction(place, write=True) as connection:
        replace_outliers(connection, "arm", [], None)
    assert find_outliers(place, "arm", "units", 2) == (0, [])


def test_a_forgotten_recording_leaves_no_row_and_no_set_that_had_it(place):
    first = changed(place, result(1), result(2))
    changed(place, result(1, episodes=3))
    second = changed(place, gone=[1])
    with catalog.transaction(place, write=True) as connection:
        evaluations.forget(connection, "arm", second, digest(1))
    assert catalog.change_of(place, "arm", first.set, evaluations.evaluated) is None
    assert [row.name for row in EvaluationSet(place, "arm", first.change)] == ["2.csv"]
    assert numbers(evaluations.last_set(place, "arm")) == [2]


def test_a_set_that_is_not_complete_cannot_be_named(place):
    head = changed(place, result(1), named=False)
    assert catalog.change_of(place, "arm", head.set, evaluations.evaluated) is None
