"""Digests that are believed for as long as nobody touched the file."""

import hashlib
import os
import time

import pytest

from kinemill.store.digests import CALM, cache_digest, copy, link, own_digest


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def file(tmp_path):
    """Return a file of 3 MB and 5 bytes that has not changed for a while."""
    path = tmp_path / "log.csv"
    path.write_bytes(os.urandom((3 << 20) + 5))
    time.sleep(3 * CALM / 1e9)
    return path


def copied(path, to):
    with path.open("rb") as original:
        return copy(original, to)


def test_copy_of_a_file_has_its_bytes_and_digest(file, tmp_path):
    content = file.read_bytes()
    assert copied(file, tmp_path / "copy") == sha(content)
    assert (tmp_path / "copy").read_bytes() == content


def test_a_file_that_was_just_written_is_believed_until_it_changes(tmp_path):
    path = tmp_path / "own"
    path.write_bytes(b"own")
    cache_digest(path, sha(b"own"))
    assert own_digest(path) == sha(b"own")
    time.sleep(3 * CALM / 1e9)
    path.write_bytes(b"won")
    assert own_digest(path) == sha(b"won")


def test_flipped_bit_with_size_and_time_of_writing_as_before_is_seen(file, tmp_path):
    previous = file.stat()
    assert own_digest(file) == sha(file.read_bytes())
    content = bytearray(file.read_bytes())
    content[1 << 20] ^= 1
    with file.open("r+b") as linked:
        linked.write(content)
    os.utime(file, ns=(previous.st_atime_ns, previous.st_mtime_ns))
    assert own_digest(file) == sha(content)
    assert copied(file, tmp_path / "copy") == sha(content)


def test_another_name_of_a_file_has_its_digest_until_it_changes(file, tmp_path):
    linked, content = tmp_path / "again", file.read_bytes()
    assert own_digest(file) == sha(content)
    link(file, linked)
    assert own_digest(linked) == own_digest(file) == sha(content)
    time.sleep(3 * CALM / 1e9)
    file.write_bytes(b"other")
    assert own_digest(linked) == sha(b"other")


def test_a_file_that_was_written_a_moment_ago_is_read_again(tmp_path):
    path = tmp_path / "fresh"
    for number in range(50):
        path.write_bytes(b"%05d" % number)
        assert own_digest(path) == sha(b"%05d" % number)
