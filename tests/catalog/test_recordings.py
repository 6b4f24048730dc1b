"""Sets of recordings in the catalog: changes, earlier sets, digests and totals."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from kinemill import catalog
from kinemill.catalog import CatalogEntry, RecordingSet, SetRules, Totals
from kinemill.catalog.tables import recordings
from kinemill.store import ArtifactRef, digest
from kinemill.store.fault_injection import VARIABLE, passings

BY = SetRules("rules")


def entry(number, **changes):
    hash_ = digest(number)
    ref = ArtifactRef(f"store/recording/arm/{hash_[:32]}", digest([number, sorted(changes)]))
    made = CatalogEntry(hash_, f"{number}.csv", ref, tracks=1, rows=100, dropped_rows=2, reasons=0)
    return replace(made, **changes)


def changed(home, *entries, removed=(), task="arm", whole=False):
    changes = {one.hash: one for one in entries} | {digest(number): None for number in removed}
    return catalog.amend(home, task, changes, BY, whole=whole)


def names(home, head, task="arm"):
    return sorted(one.name for one in RecordingSet(home, task, head.change))


def test_a_change_appends_and_every_earlier_set_can_be_read(home):
    first = changed(home, entry(1), entry(2))
    second = changed(home, entry(3), entry(1, rows=50), removed=[2])
    third = changed(home, removed=[1, 3])
    assert [one.change for one in (first, second, third)] == [1, 2, 3]
    assert names(home, first) == ["1.csv", "2.csv"]
    assert names(home, second) == ["1.csv", "3.csv"]
    assert names(home, third) == []
    sets = [RecordingSet(home, "arm", change) for change in (1, 2)]
    both = [digest(1), digest(2)]
    assert [subset.find_all(both)[digest(1)].rows for subset in sets] == [100, 50]
    assert digest(2) not in sets[1].find_all(both)
    assert sets[0].present([digest(2), digest(9)]) == {digest(2)}
    assert [one.hash for one in sets[1].named("3.csv")] == [digest(3)]
    assert sets[1].changed_since(1) == {digest(number) for number in (1, 2, 3)}
    assert sets[0].changed_since(2) == sets[1].changed_since(1)
    assert sets[1].changed_since(2) == set()


def test_equal_sets_have_equal_digests_and_totals_however_they_came(home):
    some = [entry(number, tracks=number % 2) for number in range(7)]
    head = changed(home, *some)
    assert head.set == catalog.set_digest_of(reversed(some))
    assert head.totals == catalog.totals_of(some) == Totals(7, 4, 3, 700, 14)
    changed(home, entry(9), removed=[0])
    again = changed(home, some[0], removed=[9])
    assert (again.set, again.totals, again.change) == (head.set, head.totals, 3)
    assert catalog.change_of(home, "arm", head.set) == 3
    one_by_one = [changed(home, one, task="leg") for one in some][-1]
    assert (one_by_one.set, one_by_one.totals) == (head.set, head.totals)
    assert changed(home, replace(some[1], released=True)).set != head.set


def test_what_is_the_same_changes_nothing_and_other_rules_keep_the_set(home):
    head = changed(home, entry(1))
    assert changed(home, entry(1), removed=[5]) == head
    assert catalog.read_head(home, "arm") == head
    other = SetRules("other rules", frozenset([digest(5)]), frozenset([digest(1)]))
    made = catalog.amend(home, "arm", {}, other)
    assert (made.change, made.set, made.by) == (1, head.set, other)
    assert catalog.read_head(home, "arm") == made
    assert catalog.read_head(home, "leg") is None


def test_a_whole_set_removes_what_it_does_not_name(home):
    changed(home, entry(1), entry(2), entry(3))
    head = changed(home, entry(2), entry(4), whole=True)
    assert names(home, head) == ["2.csv", "4.csv"]
    assert head.totals.recordings == 2
    assert names(home, changed(home, whole=True)) == []


def test_entries_within_bounds_come_in_the_order_of_their_hashes(home):
    head = changed(home, *(entry(number) for number in range(1200)))
    every = [one.hash for one in RecordingSet(home, "arm", head.change)]
    assert every == sorted(digest(number) for number in range(1200))
    some = [one.hash for one in RecordingSet(home, "arm", head.change).within("3c", "40")]
    assert some == [hash_ for hash_ in every if "3c" <= hash_ < "40"] != []


def test_artifacts_that_count_and_those_that_an_earlier_set_had(home):
    old, new = entry(1), entry(1, rows=50)
    first = changed(home, old, entry(2))
    changed(home, replace(new, ref=ArtifactRef("store/recording/arm/new", digest("new"))))
    assert dict.fromkeys(path for _, path in catalog.live_paths(home, recordings)).keys() == {
        "store/recording/arm/new",
        entry(2).ref.path,
    }
    assert catalog.ended_paths(home, "arm", first.set, recordings) == {old.ref.path}
    assert catalog.ended_paths(home, "arm", digest("no set"), recordings) == set()


def test_a_forgotten_recording_leaves_no_row_and_no_set_that_had_it(home):
    first = changed(home, entry(1), entry(2))
    changed(home, entry(1, rows=50))
    catalog.forget(home, "arm", digest(1))
    head = catalog.read_head(home, "arm")
    assert names(home, head) == ["2.csv"]
    assert head.totals == catalog.totals_of([entry(2)])
    assert catalog.change_of(home, "arm", first.set) is None
    assert catalog.change_of(home, "arm", head.set) == head.change
    assert _rows(home, digest(1)) == 0
    catalog.forget(home, "leg", digest(1))


def _rows(home, hash_):
    with sqlite3.connect(home.catalog_db) as opened:
        return opened.execute("SELECT count(*) FROM recordings WHERE hash = ?", [hash_]).fetchone()[
            0
        ]


def test_writers_at_once_wait_for_each_other(home):
    with ThreadPoolExecutor(8) as pool:
        tasks = [f"arm_{number}" for number in range(8)]
        heads = list(pool.map(lambda task: changed(home, entry(1), task=task), tasks))
    assert {head.change for head in heads} == {1}
    assert all(names(home, catalog.read_head(home, task), task) == ["1.csv"] for task in tasks)


def test_a_full_disk_changes_nothing(home, monkeypatch):
    head = changed(home, entry(1))
    monkeypatch.setenv(
        VARIABLE, f"error:catalog.written:{passings().get('catalog.written', 0) + 1}"
    )
    with pytest.raises(OSError, match="no space left"):
        changed(home, entry(2))
    monkeypatch.delenv(VARIABLE)
    assert catalog.read_head(home, "arm") == head
    assert len(names(home, head)) == head.totals.recordings
