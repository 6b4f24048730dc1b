"""Digest of a set: order does not change it, and members are added and removed in O(1)."""

from collections.abc import Iterable

_MODULUS = 1 << 256


def set_digest(digests: Iterable[bytes]) -> str:
    """Return a digest of a set of sha256 digests, 32 bytes each: their sum modulo 2^256, in hex.

    No order changes it. Sums of disjoint sets add up (Bellare and Micciancio 1997, AdHash). It
    detects accidental differences, not adversarial ones.
    """
    return set_difference(digests, [])


def set_difference(digests: Iterable[bytes], without: Iterable[bytes]) -> str:
    """Return the digest of a set of digests, or of sums of them, without some others."""
    total = sum(int.from_bytes(item, "big") for item in digests)
    total -= sum(int.from_bytes(item, "big") for item in without)
    return f"{total % _MODULUS:064x}"
