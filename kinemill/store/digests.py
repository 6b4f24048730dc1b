"""Digests: sha256 of files, and of bytes that this process has just hashed.

Files published by another process are always read and hashed. A process that publishes a file,
opens it again and links it into another artifact would hash it three times, so it trusts its own
digest for some minutes while the file's stat is unchanged. The ctime cannot be set back. A file
that changed a moment ago is not trusted: another change within the same clock tick would have the
same stat.
"""

import errno
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
    sums: tuple[int, ...] = ()  # sum of the words of each block, for a file to be copied
    copy: tuple[Path, _FileStat] | None = None  # copy that was written during hashing


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


def digest_to_copy(path: Path, copy_path: Path | None = None) -> str:
    """Return the sha256 of a file in hex, and cache the block sums for `copy`.

    Args:
        path: the file.
        copy_path: path for a copy written during hashing, so that `copy` need not read the file
            again; it is missing if writing failed. The caller removes an unused copy.
    """
    stat = _stat_of(path)
    sha256 = hashlib.sha256()
    sums = list[int]()
    with path.open("rb") as file, _EagerCopy(copy_path) as eager_copy:
        for block in _blocks(file):
            sha256.update(block)
            if not eager_copy.write(block):
                sums.append(_sum(block))
    if _is_calm(stat, path):
        whole = len(sums) == -(-stat.size // BLOCK)
        _remember(stat, sha256.hexdigest(), tuple(sums) if whole else (), eager_copy.written)
    return sha256.hexdigest()


class _EagerCopy:
    """A copy written during hashing; a full disk ends it."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._file = path, path.open("xb", buffering=0) if path else None

    def write(self, block: memoryview) -> bool:
        """Write a block, and return whether the copy is still valid."""
        try:
            if self._file and self._file.write(block) == len(block):
                return True
        except OSError as error:
            # `copy` reports a full disk if the copy is needed; space may be free by then.
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
        self._end()
        return False

    def _end(self) -> None:
        if self._file and self._path:
            self._file.close()
            self._path.unlink(missing_ok=True)
        self._file = None

    @property
    def written(self) -> tuple[Path, _FileStat] | None:
        """The complete, closed copy and its stat."""
        return (self._path, _stat_of(self._path)) if self._file and self._path else None

    def __enter__(self) -> "_EagerCopy":
        return self

    def __exit__(self, *failed: object) -> None:
        if any(failed):
            self._end()
        if self._file:
            self._file.close()


def copy(original: BufferedReader, to: Path) -> str:
    """Copy an open file to a new one, and return the sha256 of the copy in hex.

    A file with the stat and block sums that it had when this process hashed it is unchanged. It is
    not hashed again, which takes longer than copying.
    """
    cached = _find_cached(_as_file_stat(os.fstat(original.fileno())))
    if cached and cached.copy and _rename_copy(*cached.copy, to):
        return cached.digest
    with to.open("xb") as file:
        if cached is None or not cached.sums:
            sha256 = hashlib.sha256()
            for block in _blocks(original):
                sha256.update(block)
                file.write(block)
            return sha256.hexdigest()
        sums = list[int]()
        for block in _blocks(original):
            sums.append(_sum(block))
            file.write(block)
    same = (
        tuple(sums) == cached.sums
        and _find_cached(_as_file_stat(os.fstat(original.fileno()))) == cached
    )
    return cached.digest if same else file_digest(to)


def _rename_copy(written: Path, stat: _FileStat, to: Path) -> bool:
    """Rename a copy that was written during hashing; the target may already exist."""
    try:
        if _stat_of(written) != stat:
            return False
        written.rename(to)
    except FileNotFoundError:
        return False
    return True


def _blocks(file: BufferedReader) -> Iterator[memoryview]:
    """Yield the bytes of a file, block by block, all in the same buffer."""
    buffer = bytearray(BLOCK)
    while size := file.readinto(buffer):
        yield memoryview(buffer)[:size]


def _sum(block: memoryview) -> int:
    """Return the sum of the words of a block, and of the bytes beyond the last, modulo 2^64."""
    import numpy as np  # here: `kinemill --help` needs no numpy

    whole = len(block) // 8 * 8
    numbers = np.frombuffer(block[:whole], np.uint64)
    return (int(numbers.sum()) + int.from_bytes(block[whole:], "little")) % (1 << 64)


def link(file: Path, again: Path) -> None:
    """Make `again` a hard link to a file, which changes its stat but not its bytes.

    Raises:
        OSError: The file system has no hard links.
    """
    cached = _cached_digest(_stat_of(file))
    again.hardlink_to(file)
    if cached:
        _remember(_stat_of(again), cached)


def _stat_of(path: Path) -> _FileStat:
    return _as_file_stat(path.stat())


def _as_file_stat(result: os.stat_result) -> _FileStat:
    times = (result.st_mtime_ns, result.st_ctime_ns)
    return _FileStat(result.st_dev, result.st_ino, result.st_size, *times)


def _is_calm(stat: _FileStat, path: Path) -> bool:
    """Return whether a file's stat is unchanged, and old enough to reveal another change."""
    return stat == _stat_of(path) and time.time_ns() - stat.ctime_ns > CALM


def _cached_digest(stat: _FileStat) -> str | None:
    cached = _find_cached(stat)
    return cached.digest if cached else None


def _find_cached(stat: _FileStat) -> _CachedDigest | None:
    with _guard:
        entry = _cache.get(stat)
    return entry if entry and time.monotonic() - entry.at <= BELIEVED else None


def _remember(
    stat: _FileStat,
    digest: str,
    sums: tuple[int, ...] = (),
    copy: tuple[Path, _FileStat] | None = None,
) -> None:
    if stat.ctime_ns % _COARSE == 0:
        return
    with _guard:
        _cache[stat] = _CachedDigest(digest, time.monotonic(), sums, copy)
        while len(_cache) > _MOST:
            _cache.popitem(last=False)
