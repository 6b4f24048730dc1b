"""Attributes of a file, as text under names.

They are read at first ingest and become metadata of the recording, not part of its identity.
Attributes that cannot be read are skipped, so that they never cost a recording.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np

MOST, LONGEST = 64, 1000  # largest number of attributes, and of characters of each


def texts(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Return numbers and texts among attributes as text, JSON objects as `name.key`."""
    attributes: dict[str, str] = {}
    for name, value in pairs:
        for key, one in _flat(name, value):
            text = _text(one)
            if text is not None and len(text) <= LONGEST and len(attributes) < MOST:
                attributes[key] = text
    return attributes


def _flat(name: str, value: object) -> Iterable[tuple[str, object]]:
    """Yield the items of a JSON object one by one; any other value itself."""
    value = _text(value) if isinstance(value, bytes) else value
    if isinstance(value, str) and value.startswith("{"):
        try:
            inside = json.loads(value)
        except (ValueError, RecursionError):
            inside = value
        if isinstance(inside, dict):
            return [(f"{name}.{key}", one) for key, one in cast(dict[str, Any], inside).items()]
    return [(name, value)]


def _text(value: object) -> str | None:
    """Return a number or a text as text; None for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = cast(Any, value).reshape(-1)[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace").rstrip("\0")
    if isinstance(value, str):
        return value if value.isprintable() else None
    if isinstance(value, bool | int | float | np.bool_ | np.number):
        return str(value.item() if isinstance(value, np.generic) else value)
    return None


def of_hdf5(path: Path) -> dict[str, str]:
    """Return the attributes of the root of a file."""
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        kinds = {name: file.attrs.get_id(name) for name in list(file.attrs)[:MOST]}
        small = [name for name, kind in kinds.items() if int(np.prod(kind.shape or 1)) == 1]
        return texts((name, file.attrs[name]) for name in small)


def of_parquet(path: Path) -> dict[str, str]:
    """Return the metadata of a file without keys of Arrow and pandas."""
    from pyarrow.parquet import read_metadata

    pairs: dict[bytes, bytes] = read_metadata(path).metadata or {}
    own = (b"ARROW:schema", b"pandas", b"huggingface")
    return texts(
        (key.decode("utf-8", "replace"), value) for key, value in pairs.items() if key not in own
    )
