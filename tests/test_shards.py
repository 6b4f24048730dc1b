"""Sets cut into shards under groups: what one more member touches, and equal sets are equal."""

import hashlib
from itertools import pairwise

import pytest

from kinemill import shards
from kinemill.shards import Tree, amended, digits_for, grouped, listed


class Shelf:
    """Keeps what is published in memory; counts the groups that are published and opened."""

    def __init__(self):
        self.contents, self.published, self.opened = {}, 0, 0

    def group(self, digits):
        def publish(name, nodes):
            self.published += 1
            key = hashlib.sha256(repr(sorted(nodes.items())).encode()).hexdigest()
            self.contents[key] = listed(digits, nodes, name)
            return {"key": key}

        return publish

    def open(self, node):
        self.opened += 1
        return self.contents[node["key"]]

    def tree(self, digits, nodes):
        return Tree(listed(digits, nodes), self.open)


def members(count):
    return [{"hash": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(count)]


def cut(entries, digits):
    return {name: {"members": len(each)} for name, each in grouped(entries, digits).items()}


@pytest.mark.parametrize(
    ("count", "digits"),
    [(0, 0), (512, 0), (513, 1), (8192, 1), (8193, 2), (100_000, 2), (131_073, 3)],
)
def test_a_set_is_cut_by_its_number_of_members(count, digits):
    assert digits_for(count) == digits


@pytest.mark.parametrize("digits", [0, 1, 2, 3])
def test_every_member_is_found_in_its_shard(digits):
    entries, shelf = members(3000), Shelf()
    nodes = cut(entries, digits)
    tree = shelf.tree(digits, amended(None, digits, nodes, shelf.group(digits)))
    assert dict(tree.shards()) == nodes
    assert [name for name, _ in tree.shards()] == sorted(nodes)
    for entry in entries[:50]:
        assert tree.shard(entry["hash"]) == nodes[entry["hash"][:digits]]


def test_a_member_of_a_shard_or_group_that_there_is_not_is_not_found():
    shelf = Shelf()
    tree = shelf.tree(3, amended(None, 3, {"abc": {"members": 1}}, shelf.group(3)))
    assert tree.shard("abc" + 61 * "0") == {"members": 1}
    assert [tree.shard(start + 61 * "0") for start in ("abd", "acc", "fff")] == [None] * 3


def test_one_more_member_touches_the_groups_above_its_shard_alone():
    entries, shelf = members(5000), Shelf()
    tree = shelf.tree(3, amended(None, 3, cut(entries, 3), shelf.group(3)))
    assert shelf.published == 16 + 256
    shelf.published = shelf.opened = 0
    name = entries[0]["hash"][:3]
    nodes = amended(tree, 3, {name: {"members": 99}}, shelf.group(3))
    assert (shelf.published, shelf.opened) == (2, 2)
    again = shelf.tree(3, nodes)
    assert dict(again.shards()) == {**cut(entries, 3), name: {"members": 99}}


def test_equal_sets_have_equal_groups_however_they_came():
    entries, shelf = members(400), Shelf()
    whole = amended(None, 2, cut(entries, 2), shelf.group(2))
    nodes: dict = {}
    for first, last in pairwise([0, 1, 150, 151, 400]):
        now, new = cut(entries[:last], 2), {one["hash"][:2] for one in entries[first:last]}
        before = shelf.tree(2, nodes) if nodes else None
        nodes = amended(before, 2, {name: now[name] for name in new}, shelf.group(2))
    assert nodes == whole


def test_what_is_gone_leaves_no_empty_group():
    entries, shelf = members(60), Shelf()
    tree = shelf.tree(2, amended(None, 2, cut(entries, 2), shelf.group(2)))
    gone = {name: None for name, _ in tree.shards() if name.startswith("a")}
    assert gone
    nodes = amended(tree, 2, gone, shelf.group(2))
    assert "a" not in nodes
    assert dict(shelf.tree(2, nodes).shards()) == {
        name: node for name, node in tree.shards() if name not in gone
    }


def test_many_shards_from_before_there_were_groups_are_read_and_grouped_at_the_next_change():
    entries, shelf = members(700), Shelf()
    nodes = cut(entries, 2)
    flat = Tree({"digits": 2, "shards": nodes}, shelf.open)
    assert flat.flat
    assert dict(flat.shards()) == nodes
    assert flat.shard(entries[7]["hash"]) == nodes[entries[7]["hash"][:2]]
    name = entries[0]["hash"][:2]
    grown = amended(flat, 2, {name: {"members": 9}}, shelf.group(2))
    whole = amended(None, 2, {**nodes, name: {"members": 9}}, shelf.group(2))
    assert grown == whole
    assert sorted(grown) == list("0123456789abcdef")


def test_the_cut_follows_the_size_that_is_set(monkeypatch):
    monkeypatch.setattr(shards, "LARGEST", 4)
    assert [digits_for(n) for n in (4, 5, 64, 65)] == [0, 1, 1, 2]
