"""Shards of large sets: a new member republishes only a small part.

A set is split in four by the first digits of its members' content hashes, each part in four again,
and so on: not at all up to 512 members, into 16 shards up to 2,048, into 64 up to 8,192, into 256
up to 32,768. So a shard has 32 to 128 members. The split depends only on the number of members, so
equal sets have equal shards, independent of insertion order.

A shard is called by the hexadecimal digits that its hashes begin with; where it is one of the four
parts of such a name, a letter follows: w for a next digit of 0 to 3, x of 4 to 7, y of 8 to b, z of
c to f. Shards whose names begin alike, four or sixteen, are a group, sixteen groups one above them,
and so on to the root. The node of a group stays unchanged while none of its shards changes, so a
new member rewrites only its shard and the groups above it, at most log16(shards).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

LARGEST = 128  # members of a shard, about; a set of four times as many is one shard
_QUARTERS = "wxyz"
_MODULUS = 1 << 256

T = TypeVar("T")
Json = dict[str, Any]
Nodes = dict[str, Json]


def cuts_for(members: int) -> int:
    """Return how many times a set of so many members is cut in four."""
    cuts = 0
    while members > LARGEST * 4 ** max(cuts, 1):
        cuts += 1
    return cuts


def name_of(hash_: str, cuts: int) -> str:
    """Return the name of the shard that a hash belongs to in a set that is cut so many times."""
    digits, half = divmod(cuts, 2)
    return hash_[:digits] + (_QUARTERS[int(hash_[digits], 16) // 4] if half else "")


def holds(name: str, hash_: str) -> bool:
    """Return whether a hash belongs to a shard, or to a group of shards."""
    half = name != "" and name[-1] in _QUARTERS
    return name_of(hash_, 2 * len(name) - half) == name


def bounds(name: str) -> tuple[str, str]:
    """Return the first hash that belongs to a shard, and the first one after it."""
    first, width = name, len(name)
    if name and name[-1] in _QUARTERS:
        quarter = _QUARTERS.index(name[-1])
        first = f"{name[:-1]}{4 * quarter:x}"
    step = 4 if first != name else 1
    stop = int(first or "0", 16) + step
    return first, f"{stop:0{width}x}" if width and stop < 16**width else "g"


def grouped(entries: Iterable[T], cuts: int, hash_of: Callable[[T], str]) -> dict[str, list[T]]:
    """Return entries by shard, each shard sorted by hash.

    Args:
        entries: members of the set.
        cuts: how many times the set is cut.
        hash_of: returns the content hash of an entry, in hex.
    """
    shards: dict[str, list[T]] = {}
    for entry in sorted(entries, key=hash_of):
        shards.setdefault(name_of(hash_of(entry), cuts), []).append(entry)
    return shards


def _depth(cuts: int) -> int:
    """Return the length of a shard's name."""
    return -(-cuts // 2)


class Tree:
    """The shards of a set under their groups; a group is opened on first access.

    A node (shard or group) holds a reference and some numbers of its publisher. The root is called
    "".

    Attributes:
        cuts: how many times the set is cut in four.
        depth: length of a shard's name.

    Args:
        listed: output of `listed` for the root's nodes.
        open_group: returns what was listed of a group, given its node.
    """

    def __init__(self, listed: Json, open_group: Callable[[Json], Json]) -> None:
        self.cuts: int = listed["cuts"]
        self.depth = _depth(self.cuts)
        self._root, self._open = listed, open_group
        self.nodes = cache(self._nodes)

    def _nodes(self, group: str = "") -> Nodes:
        """Return the nodes directly below a group, or below the root, sorted; empty if unknown.

        Raises:
            CorruptArtifact: A group is damaged.
        """
        listed = self._root
        if group:
            node = self.nodes(group[:-1]).get(group)
            listed = self._open(node) if node else {}
        return dict(sorted((listed.get("groups") or listed.get("shards") or {}).items()))

    def shards(self) -> Iterator[tuple[str, Json]]:
        """Yield the names and nodes of all shards, sorted."""
        for name in self.nodes():
            yield from self.below(name)

    def below(self, name: str) -> Iterator[tuple[str, Json]]:
        """Yield the names and nodes of the shards of a group, or the shard itself, sorted."""
        if len(name) == self.depth:
            if node := self.shard(name):
                yield name, node
            return
        for inner in self.nodes(name):
            yield from self.below(inner)

    def shard(self, name: str) -> Json | None:
        """Return the shard of a name, if there is one."""
        return self.nodes(name[:-1]).get(name)


def listed(cuts: int, nodes: Nodes, group: str = "") -> Json:
    """Return the stored form of the nodes directly below a group or the root."""
    shards = _depth(cuts) <= len(group) + 1
    return {"cuts": cuts, "shards" if shards else "groups": nodes}


def amended(
    previous: Tree | None,
    cuts: int,
    changes: Mapping[str, Json | None],
    publish: Callable[[str, Nodes], Json],
) -> Nodes:
    """Return the nodes below the root after some shards changed; groups without change are kept.

    Args:
        previous: the previous tree with the same cuts, or None.
        cuts: how many times the set is cut.
        changes: nodes of new or changed shards by name, None for those that are gone.
        publish: publishes a group, given its name and nodes, and returns its own node.
    """
    depth = _depth(cuts)

    def below(group: str) -> Nodes:
        nodes: dict[str, Json | None] = {**previous.nodes(group)} if previous else {}
        length = min(len(group) + 1, depth)
        for name in sorted({shard[:length] for shard in changes if shard.startswith(group)}):
            inner = {} if length == depth else below(name)
            nodes[name] = publish(name, inner) if inner else changes.get(name)
        return {name: node for name, node in sorted(nodes.items()) if node is not None}

    return below("")


def set_digest(digests: Iterable[bytes]) -> str:
    """Return a digest of a set of sha256 digests, 32 bytes each: their sum modulo 2^256, in hex.

    No order changes it. Sums of disjoint sets add up (Bellare and Micciancio 1997, AdHash), so a
    shard's is found without the others. It detects accidental differences, not adversarial ones.
    """
    return set_difference(digests, [])


def set_difference(digests: Iterable[bytes], without: Iterable[bytes]) -> str:
    """Return the digest of a set of digests, or of sums of them, without some others."""
    total = sum(int.from_bytes(item, "big") for item in digests)
    total -= sum(int.from_bytes(item, "big") for item in without)
    return f"{total % _MODULUS:064x}"
