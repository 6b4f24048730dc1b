"""Digests that are believed for as long as nobody touched the file."""

import hashlib
import mmap
import os
import time

import pytest

from kinemill.store import digests
from kinemill.store.digests import CALM, cache_digest, copy, digest_to_copy, link, own_digest


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


def test_a_copy_has_the_digest_and_the_bytes_of_its_file(file, tmp_path):
    content = file.read_bytes()
    assert copied(file, tmp_path / "unseen") == sha(content)
    assert digest_to_copy(file) == sha(content)
    assert copied(file, tmp_path / "seen") == sha(content)
    assert (tmp_path / "seen").read_bytes() == (tmp_path / "unseen").read_bytes() == content


def test_a_copy_that_was_written_while_hashing_is_moved_and_the_file_not_read(
    file, tmp_path, monkeypatch
):
    content, copy_path = file.read_bytes(), tmp_path / "ahead"
    assert digest_to_copy(file, copy_path) == sha(content)
    monkeypatch.setattr(digests, "_blocks", lambda _: pytest.fail("read again"))
    assert copied(file, tmp_path / "copy") == sha(content)
    assert (tmp_path / "copy").read_bytes() == content
    assert not copy_path.exists()


@pytest.mark.parametrize("spoil", ["removed", "changed", "source"])
def test_a_copy_written_ahead_that_cannot_be_believed_is_made_again(file, tmp_path, spoil):
    copy_path = tmp_path / "ahead"
    digest_to_copy(file, copy_path)
    if spoil == "removed":
        copy_path.unlink()
    elif spoil == "changed":
        time.sleep(3 * CALM / 1e9)
        copy_path.write_bytes(os.urandom(len(copy_path.read_bytes())))
    else:
        file.write_bytes(os.urandom(5))
    assert copied(file, tmp_path / "copy") == sha(file.read_bytes())
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()


def test_a_full_disk_ends_the_copy_ahead_and_not_the_hashing(file, tmp_path):
    copy_path = tmp_path / "full"
    copy_path.symlink_to("/dev/full")

    class Full:
        def open(self, *_, **__):
            return copy_path.open("wb", buffering=0)

        def unlink(self, **_):
            copy_path.unlink()

    assert digest_to_copy(file, Full()) == sha(file.read_bytes())
    assert not copy_path.is_symlink()
    assert copied(file, tmp_path / "copy") == sha(file.read_bytes())


def test_a_file_that_was_just_written_is_believed_until_it_changes(tmp_path):
    path = tmp_path / "own"
    path.write_bytes(b"own")
    cache_digest(path, sha(b"own"))
    assert own_digest(path) == sha(b"own")
    time.sleep(3 * CALM / 1e9)
    path.write_bytes(b"won")
    assert own_digest(path) == sha(b"won")


@pytest.mark.parametrize("digest", [own_digest, digest_to_copy])
def test_one_flipped_bit_shows_though_size_and_time_of_writing_are_as_before(
    file, tmp_path, digest
):
    previous = file.stat()
    assert digest(file) == sha(file.read_bytes())
    content = bytearray(file.read_bytes())
    content[1 << 20] ^= 1
    with file.open("r+b") as again:
        again.write(content)
    os.utime(file, ns=(previous.st_atime_ns, previous.st_mtime_ns))
    assert own_digest(file) == sha(content)
    assert copied(file, tmp_path / "copy") == sha(content)


def test_what_is_written_through_a_mapping_shows_in_the_copy(file, tmp_path):
    """Writing to a page that is dirty already does not change how a file looks.

    Where the system writes the page back in between it does, and it is tried again.
    """
    unseen = 0
    for number in range(20):
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
            mapped[0] ^= 1
            time.sleep(3 * CALM / 1e9)
            assert digest_to_copy(file) == sha(mapped[:])
            look = file.stat()
            mapped[8:16] = bytes(value ^ 255 for value in mapped[8:16])
            unseen += file.stat().st_ctime_ns == look.st_ctime_ns
            assert copied(file, tmp_path / f"copy{number}") == sha(mapped[:])
        if unseen:
            return
    pytest.fail("the page was written back each time")


def test_another_name_of_a_file_has_its_digest_until_it_changes(file, tmp_path):
    again, content = tmp_path / "again", file.read_bytes()
    assert own_digest(file) == sha(content)
    link(file, again)
    assert own_digest(again) == own_digest(file) == sha(content)
    time.sleep(3 * CALM / 1e9)
    file.write_bytes(b"other")
    assert own_digest(again) == sha(b"other")


def test_a_file_that_was_written_a_moment_ago_is_read_again(tmp_path):
    path = tmp_path / "fresh"
    for number in range(50):
        path.write_bytes(b"%05d" % number)
        assert own_digest(path) == sha(b"%05d" % number)
