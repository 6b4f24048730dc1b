import errno

import pytest

from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers._arrays import damaged_file


def test_trouble_of_the_machine_is_not_blamed_on_the_log():
    """Too many open files pass; a quarantine is kept by content and would not."""
    with pytest.raises(OSError, match="Too many open files"):
        damaged_file("Parquet", OSError(errno.EMFILE, "Too many open files"))


def test_what_no_decoder_understands_is_a_refusal():
    refusal = damaged_file("Parquet", OSError("Couldn't deserialize thrift"))
    assert isinstance(refusal, Unreadable)
    assert refusal.reasons[0]["found"] == (
        "is not a complete Parquet file (OSError: Couldn't deserialize thrift)"
    )
