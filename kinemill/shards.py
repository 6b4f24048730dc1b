"""Large sets cut into shards, so that what is published anew when one member comes is a small part.

A set is cut by the first hexadecimal digits of its members' content hashes: by none up to 512
members, by one up to 8,192, by two up to 131,072, and so on. The cut follows from the number of
members alone, so equal sets have equal shards, in whatever order their members came.
"""

from collections.abc import Iterable, Mapping
from typing import Any

LARGEST = 512  # members of a shard, about
_MODULUS = 1 << 256

Json = dict[str, Any]


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


def totals(shards: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, int]:
    """Return the sums of some numbers over all shards."""
    listed = list(shards)
    return {name: sum(shard[name] for shard in listed) for name in names}


def set_digest(digests: Iterable[bytes]) -> str:
    """Return a digest of a set of sha256 digests, 32 bytes each: their sum modulo 2^256, in hex.

    No order changes it. Sums of disjoint sets add up (Bellare and Micciancio 1997, AdHash), so a
    shard's is found without the others. It tells sets apart that differ by accident, not by an
    adversary's work.
    """
    return f"{sum(int.from_bytes(item, 'big') for item in digests) % _MODULUS:064x}"
