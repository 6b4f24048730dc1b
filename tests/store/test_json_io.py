"""JSON documents: read and written fast, and as the standard library does."""

import json
import struct

import numpy as np
import pytest

from kinemill.errors import CorruptArtifact
from kinemill.store.json_io import parse_json, read_json, write_json

ODD = [
    10**40,
    -(2**63) - 1,
    -0.0,
    5e-324,
    1.7976931348623157e308,
    2**53 + 1,
    "NaN",
    "",
    "ü\n\udc80",
]


def test_what_is_written_is_read(tmp_path):
    items = [{"value": value, "in": [value, {"deep": [None, True]}]} for value in ODD]
    write_json(path := tmp_path / "some.json", items)
    assert read_json(path) == items == json.loads(path.read_bytes())
    assert str(read_json(path)) == str(items)  # -0.0 is -0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_what_is_no_number_is_not_written(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "some.json", [{"loss": value}])
    assert not (tmp_path / "some.json").exists()


def test_every_float_is_read_as_it_was(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2**64, 200_000, np.uint64)
    floats = bits.view(np.float64)
    floats = floats[np.isfinite(floats)].tolist()
    write_json(path := tmp_path / "floats.json", floats)
    layout = f"{len(floats)}d"
    assert struct.pack(layout, *read_json(path)) == struct.pack(layout, *floats)


@pytest.mark.parametrize("content", [b"", b"{", b"[1] 2", b"{'a': 1}", b"\xff", b"[1,]"])
def test_what_is_no_json_is_refused_by_name(tmp_path, content):
    with pytest.raises(CorruptArtifact, match=r"some\.json.*is not valid JSON"):
        parse_json(tmp_path / "some.json", content)
