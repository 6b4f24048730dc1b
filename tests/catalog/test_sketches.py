"""Tables of the index of near-duplicates, in SQLite and in a shared database."""

from contextlib import contextmanager

from kinemill.catalog import transaction
from kinemill.catalog.sketches import ROOM, SketchTable, StoredSketch
from tests.catalog.test_evaluations import place, postgres, shared  # noqa: F401  (fixtures)

LARGE = (1 << 62) | 5  # as the key of first rows


def sketch(name):
    return StoredSketch(name, name, f"{name}.csv", 1.5, ["ab"], b"\0\1\2\3")


@contextmanager
def opened(home, signature="same"):
    with transaction(home, write=True) as connection:
        table = SketchTable(connection, "arm", signature)
        yield table
        table.save()


def test_units_are_numbered_and_found_by_their_keys(place):  # noqa: F811
    with opened(place) as table:
        assert table.is_new
        assert table.insert([sketch("a"), sketch("b")], [[1, LARGE], [1, 2]], {}) == [1, 2]
    with opened(place) as table:
        assert (table.is_new, table.units, table.pairs) == (False, 2, 0)
        assert table.find([1, 2, LARGE, 9], 3, 9) == [1, 2]
        assert table.find([1, 2, 9], 3, 9) == [2, 1]  # under two keys, and under one
        assert table.find([1, 2, 9], 3, 1) == [2]
        assert table.find([1, LARGE], 2, 9) == [1]
        assert table.read([2]) == {2: sketch("b")}
        assert table.numbers_of(["a", "x"]) == {"a": 1}
        assert table.registered(["a", "x"]) == {"a"}


def test_a_deleted_unit_leaves_no_key_and_no_pair(place):  # noqa: F811
    with opened(place) as table:
        table.insert([sketch(name) for name in "abc"], [[1], [1], [1]], {})
        table.add_pairs(2, {1: 0.5})
        table.add_pairs(3, {1: 0.25, 2: 0.75})
        assert table.nearest_pairs(2) == [("a.csv", "c.csv", 0.25), ("a.csv", "b.csv", 0.5)]
        table.delete({1: [1]})
    with opened(place) as table:
        assert (table.units, table.pairs) == (2, 1)
        assert table.nearest_pairs(9) == [("b.csv", "c.csv", 0.75)]
        assert table.find([1], 9, 9) == [2, 3]
        assert table.insert([sketch("a")], [[1]], {"a": 1}) == [1]
        assert table.insert([sketch("d")], [[1]], {}) == [4]


def test_a_full_key_takes_no_more_units(place):  # noqa: F811
    names = [f"{number:03d}" for number in range(ROOM + 2)]
    with opened(place) as table:
        table.insert([sketch(name) for name in names[:10]], [[7]] * 10, {})
        table.insert([sketch(name) for name in names[10:]], [[7]] * (ROOM - 8), {})
        assert table.find([7], 1000, 2 * ROOM) == [*range(1, ROOM + 1)]


def test_another_signature_empties_the_index_and_remembers_what_was_in_it(place):  # noqa: F811
    with opened(place) as table:
        table.insert([sketch("a")], [[1]], {})
    with opened(place, "other") as table:
        assert (table.is_new, table.units, table.find([1], 9, 9)) == (True, 0, [])
        assert table.registered(["a"]) == {"a"}
        table.forget("a")
        assert table.registered(["a"]) == set()
