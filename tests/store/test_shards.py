"""Sets cut into shards under groups: what one more member touches, and equal sets are equal."""

import hashlib
from itertools import pairwise

import pytest

from kinemill.store import shards
from kinemill.store.shards import (
    Tree,
    amended,
    bounds,
    cuts_for,
    grouped,
    holds,
    listed,
    name_of,
    set_difference,
    set_digest,
)


class Shelf:
    """Keeps what is published in memory; counts the groups that are published and opened."""

    def __init__(self):
        self.contents, self.published, self.opened = {}, 0, 0

    def group(self, cuts):
        def publish(name, nodes):
            self.published += 1
            key = hashlib.sha256(repr(sorted(nodes.items())).encode()).hexdigest()
            self.contents[key] = listed(cuts, nodes, name)
            return {"key": key}

        return publish

    def open(self, node):
        self.opened += 1
        return self.contents[node["key"]]

    def tree(self, cuts, nodes):
        return Tree(listed(cuts, nodes), self.open)


def members(count):
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]


def cut(entries, cuts):
    return {name: {"members": len(each)} for name, each in grouped(entries, cuts, str).items()}


@pytest.mark.parametrize(
    ("count", "cuts"),
    [(0, 0), (512, 0), (513, 2), (2048, 2), (2049, 3), (8193, 4), (100_000, 5), (131_073, 6)],
)
def test_a_set_is_cut_by_its_number_of_members(count, cuts):
    assert cuts_for(count) == cuts


@pytest.mark.parametrize(("cuts", "name"), [(0, ""), (1, "y"), (2, "a"), (3, "aw"), (5, "a3z")])
def test_a_shard_is_called_by_what_its_hashes_begin_with(cuts, name):
    hash_ = "a3f" + 61 * "0"
    assert name_of(hash_, cuts) == name
    assert holds(name, hash_)
    assert not name or not holds(name, "0bb" + 61 * "0")


@pytest.mark.parametrize("cuts", range(7))
def test_every_member_is_found_in_its_shard(cuts):
    entries, shelf = members(3000), Shelf()
    nodes = cut(entries, cuts)
    assert len(nodes) == min(4**cuts, len(nodes))
    tree = shelf.tree(cuts, amended(None, cuts, nodes, shelf.group(cuts)))
    assert dict(tree.shards()) == nodes
    assert [name for name, _ in tree.shards()] == sorted(nodes)
    for entry in entries[:50]:
        name = name_of(entry, cuts)
        assert tree.shard(name) == nodes[name]
        assert [other for other in nodes if holds(other, entry)] == [name]


@pytest.mark.parametrize("cuts", range(6))
def test_shards_in_order_hold_their_members_in_order(cuts):
    every = [one for each in grouped(members(900), cuts, str).values() for one in each]
    assert every == sorted(every)
    assert [*grouped(members(900), cuts, str)] == sorted(grouped(members(900), cuts, str))


def test_a_member_of_a_shard_or_group_that_there_is_not_is_not_found():
    shelf = Shelf()
    tree = shelf.tree(6, amended(None, 6, {"abc": {"members": 1}}, shelf.group(6)))
    assert tree.shard("abc") == {"members": 1}
    assert [tree.shard(name) for name in ("abd", "acc", "fff")] == [None] * 3


def test_one_more_member_touches_the_groups_above_its_shard_alone():
    entries, shelf = members(5000), Shelf()
    tree = shelf.tree(6, amended(None, 6, cut(entries, 6), shelf.group(6)))
    assert shelf.published == 16 + 256
    shelf.published = shelf.opened = 0
    name = entries[0][:3]
    nodes = amended(tree, 6, {name: {"members": 99}}, shelf.group(6))
    assert (shelf.published, shelf.opened) == (2, 2)
    again = shelf.tree(6, nodes)
    assert dict(again.shards()) == {**cut(entries, 6), name: {"members": 99}}


def test_equal_sets_have_equal_groups_however_they_came():
    entries, shelf = members(400), Shelf()
    whole = amended(None, 4, cut(entries, 4), shelf.group(4))
    nodes: dict = {}
    for first, last in pairwise([0, 1, 150, 151, 400]):
        now, new = cut(entries[:last], 4), {one[:2] for one in entries[first:last]}
        previous = shelf.tree(4, nodes) if nodes else None
        nodes = amended(previous, 4, {name: now[name] for name in new}, shelf.group(4))
    assert nodes == whole


def test_what_is_gone_leaves_no_empty_group():
    entries, shelf = members(60), Shelf()
    tree = shelf.tree(4, amended(None, 4, cut(entries, 4), shelf.group(4)))
    removed = {name: None for name, _ in tree.shards() if name.startswith("a")}
    assert removed
    nodes = amended(tree, 4, removed, shelf.group(4))
    assert "a" not in nodes
    assert dict(shelf.tree(4, nodes).shards()) == {
        name: node for name, node in tree.shards() if name not in removed
    }


def test_four_shards_have_a_group_of_their_own():
    entries, shelf = members(3000), Shelf()
    tree = shelf.tree(5, amended(None, 5, cut(entries, 5), shelf.group(5)))
    assert shelf.published == 16 + 256
    assert [*tree.nodes("3f")] == ["3fw", "3fx", "3fy", "3fz"]
    shelf.published = shelf.opened = 0
    name = name_of(entries[0], 5)
    amended(tree, 5, {name: {"members": 99}}, shelf.group(5))
    assert shelf.published == 2


@pytest.mark.parametrize("cuts", range(7))
def test_the_bounds_of_a_shard_hold_its_members_alone(cuts):
    entries = sorted(members(2000))
    for name, each in grouped(entries, cuts, str).items():
        first, stop = bounds(name)
        assert [one for one in entries if first <= one < stop] == each
    assert bounds("") == ("", "g")
    assert bounds("ffz") == ("ffc", "g")


def test_a_digest_of_a_set_takes_members_in_any_order_and_lets_them_go():
    some = [hashlib.sha256(str(n).encode()).digest() for n in range(5)]
    assert set_digest(some) == set_digest(some[::-1]) != set_digest(some[1:])
    whole = bytes.fromhex(set_digest(some))
    assert set_difference([whole], some[:2]) == set_digest(some[2:])
    assert set_difference([whole], some) == set_digest([])


def test_the_cut_follows_the_size_that_is_set(monkeypatch):
    monkeypatch.setattr(shards, "LARGEST", 4)
    assert [cuts_for(n) for n in (16, 17, 64, 65, 256, 257)] == [0, 2, 2, 3, 3, 4]
