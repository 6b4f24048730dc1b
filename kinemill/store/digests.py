"""Digests: sha256 of files, and of bytes that this process has just hashed.

Files published by another process are always read and hashed. A process that publishes a file,
opens it again and links it into another artifact would hash it three times, so it trusts its own
digest for some minutes while the file's stat is unchanged. The ctime cannot be set back. A file
that changed a moment ago is not trusted: another change within the same clock tick would have the
same stat.
"""

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from threading import Lock
from typing import NamedTuple

CALM = 20_000_000  # ns after which a new change has another ctime: two ticks at 100 Hz
BELIEVED = 600.0  # s
_MOST = 4096  # files
# Bytes that fit into the processor's cache. The kernel allocates contiguous memory for a write,
# and large free pieces are often slow on a virtual machine that returned memory: 120 MB in blocks
# of 256 KB took 0.2 s, in blocks of 64 KB 0.03 s.
BLOCK = 1 << 16
_COARSE = 1_000_000  # ns; file systems with coarser timestamps are not trusted


class _FileStat(NamedTuple):
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class _CachedDigest(NamedTuple):
    digest: str
    at: float  # s, monotonic clock


_cache: OrderedDict[_FileStat, _CachedDigest] = OrderedDict()
_guard = Lock()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file in hex; always reads the whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def own_digest(path: Path) -> str:
    """Return the sha256 of a file, from the cache if this process has just hashed it.

    The file is never modified in place.
    """
    stat = _stat_of(path)
    if cached := _cached_digest(stat):
        return cached
    digest = file_digest(path)
    if _is_calm(stat, path):
        _remember(stat, digest)
    return digest


def cache_digest(path: Path, digest: str) -> None:
    """Cache the digest of a file that this process has just written to a private place."""
    _remember(_stat_of(path), digest)


def copy(original: BufferedReader, to: Path) -> str:
    """Copy an open file to a new one; return the sha256 of the copy in hex."""
    sha256 = hashlib.sha256()
    with to.open("xb") as file:
        for block in _blocks(original):
            sha256.update(block)
            file.write(block)
    return sha256.hexdigest()


def _blocks(file: BufferedReader) -> Iterator[memoryview]:
    """Yield the bytes of a file, block by block, all in the same buffer."""
    buffer = bytearray(BLOCK)
    while size := file.readinto(buffer):
        yield memoryview(buffer)[:size]


def link(file: Path, target: Path) -> None:
    """Make `target` a hard link to a file, which changes its stat but not its bytes.

    Raises:
        OSError: The file system has no hard links.
    """
    cached = _cached_digest(_stat_of(file))
    target.hardlink_to(file)
    if cached:
        _remember(_stat_of(target), cached)


def _stat_of(path: Path) -> _FileStat:
    return _as_file_stat(path.stat())


def _as_file_stat(result: os.stat_result) -> _FileStat:
    times = (result.st_mtime_ns, result.st_ctime_ns)
    return _FileStat(result.st_dev, result.st_ino, result.st_size, *times)


def _is_calm(stat: _FileStat, path: Path) -> bool:
    """Return whether a file's stat is unchanged, and old enough to reveal another change."""
    return stat == _stat_of(path) and time.time_ns() - stat.ctime_ns > CALM


def _cached_digest(stat: _FileStat) -> str | None:
    with _guard:
        entry = _cache.get(stat)
    return entry.digest if entry and time.monotonic() - entry.at <= BELIEVED else None


def _remember(stat: _FileStat, digest: str) -> None:
    if stat.ctime_ns % _COARSE == 0:
        return
    with _guard:
        _cache[stat] = _CachedDigest(digest, time.monotonic())
        while len(_cache) > _MOST:
            _cache.popitem(last=False)
