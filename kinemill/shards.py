"""Large sets cut into shards, so that what is published anew when one member comes is a small part.

A set is cut by the first hexadecimal digits of its members' content hashes: by none up to 512
members, by one up to 8,192, by two up to 131,072, and so on. The cut follows from the number of
members alone, so equal sets have equal shards, in whatever order their members came.

Sixteen shards whose names begin alike are a group, sixteen groups one above them, and so on to the
root. What a group says of its shards stays as it is while none of them changes, so one more member
costs its shard and the groups above it, of which there are log16(shards) - 1.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

LARGEST = 512  # members of a shard, about
_MODULUS = 1 << 256

Json = dict[str, Any]
Nodes = dict[str, Json]


def digits_for(members: int) -> int:
    """Return by how many hexadecimal digits a set of so many members is cut."""
    digits = 0
    while members > LARGEST * 16**digits:
        digits += 1
    return digits


def grouped(entries: Iterable[Json], digits: int, key: str = "hash") -> dict[str, list[Json]]:
    """Return entries by shard, each shard sorted by hash.

    Args:
        entries: members, each with its content hash in hex.
        digits: by how many digits the set is cut.
        key: where an entry has its hash.
    """
    shards: dict[str, list[Json]] = {}
    for entry in sorted(entries, key=lambda item: item[key]):
        shards.setdefault(entry[key][:digits], []).append(entry)
    return shards


class Tree:
    """The shards of a set under their groups; a group is opened when something in it is asked for.

    A node, a shard or a group, is named by the digits that its members' hashes begin with, and is
    what its publisher notes of it: a reference and some numbers. The root is called "".

    Args:
        listed: what `listed` made of the root's nodes; before there were groups, all shards.
        open_group: returns what was listed of a group, given its node.
    """

    def __init__(self, listed: Json, open_group: Callable[[Json], Json]) -> None:
        self.digits: int = listed["digits"]
        self._root, self._open = listed, open_group
        self.nodes = cache(self._nodes)

    def _nodes(self, group: str = "") -> Nodes:
        """Return the nodes right below a group, or below the root, sorted; none if it is unknown.

        Raises:
            CorruptArtifact: a group is damaged.
        """
        listed = self._root
        if group:
            node = self.nodes(group[:-1]).get(group)
            listed = self._open(node) if node else {}
        return dict(sorted((listed.get("groups") or listed.get("shards") or {}).items()))

    @property
    def flat(self) -> bool:
        """Whether it has many shards and no groups, as it was before there were any."""
        return self.digits > 1 and "shards" in self._root

    def shards(self) -> Iterator[tuple[str, Json]]:
        """Yield the names and nodes of all shards, sorted."""
        for name in self.nodes():
            yield from self.below(name)

    def below(self, name: str) -> Iterator[tuple[str, Json]]:
        """Yield the names and nodes of the shards of a group, or the shard itself, sorted."""
        if len(name) == self.digits:
            if node := self.shard(name):
                yield name, node
            return
        for inner in self.nodes(name):
            yield from self.below(inner)

    def shard(self, hash_: str) -> Json | None:
        """Return the shard that a hash belongs to, if there is one."""
        name, nodes = hash_[: self.digits], self.nodes()
        for length in range(1, self.digits):
            if name not in nodes:  # else it is flat
                nodes = self.nodes(hash_[:length])
        return nodes.get(name)


def listed(digits: int, nodes: Nodes, group: str = "") -> Json:
    """Return what a group, or the root, keeps of the nodes right below it."""
    shards = digits <= len(group) + 1
    return {"digits": digits, "shards" if shards else "groups": nodes}


def amended(
    before: Tree | None,
    digits: int,
    changes: Mapping[str, Json | None],
    publish: Callable[[str, Nodes], Json],
) -> Nodes:
    """Return the nodes below the root after some shards changed; groups without change are kept.

    Args:
        before: the tree that changes, cut by as many digits; None if there was none.
        digits: by how many digits the set is cut.
        changes: nodes of new or changed shards by name, None for those that are gone.
        publish: publishes a group, given its name and nodes, and returns its own node.
    """
    if before and before.flat:
        before, changes = None, {**dict(before.shards()), **changes}

    def below(group: str) -> Nodes:
        nodes: dict[str, Json | None] = {**before.nodes(group)} if before else {}
        length = min(len(group) + 1, digits)
        for name in sorted({shard[:length] for shard in changes if shard.startswith(group)}):
            inner = {} if length == digits else below(name)
            nodes[name] = publish(name, inner) if inner else changes.get(name)
        return {name: node for name, node in sorted(nodes.items()) if node is not None}

    return below("")


def totals(shards: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, int]:
    """Return the sums of some numbers over all shards."""
    every = list(shards)
    return {name: sum(shard[name] for shard in every) for name in names}


def set_digest(digests: Iterable[bytes]) -> str:
    """Return a digest of a set of sha256 digests, 32 bytes each: their sum modulo 2^256, in hex.

    No order changes it. Sums of disjoint sets add up (Bellare and Micciancio 1997, AdHash), so a
    shard's is found without the others. It tells sets apart that differ by accident, not by an
    adversary's work.
    """
    return f"{sum(int.from_bytes(item, 'big') for item in digests) % _MODULUS:064x}"
