"""What a file says of itself beside its data: attributes, as text under names.

They are read when a log is first seen, become metadata of the recording, and are no part of what it
is: nothing here may cost a recording, so what cannot be read is passed over.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np

MOST, LONGEST = 64, 1000  # attributes that are kept, and characters of each


def texts(pairs: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return attributes as text: numbers and text alone, objects of JSON by `name.key`."""
    attributes: dict[str, str] = {}
    for name, value in pairs:
        for key, one in _flat(name, value):
            text = _text(one)
            if text is not None and len(text) <= LONGEST and len(attributes) < MOST:
                attributes[key] = text
    return attributes


def _flat(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Yield what is in an object of JSON one by one; anything else is itself."""
    value = _text(value) if isinstance(value, bytes) else value
    if isinstance(value, str) and value.startswith("{"):
        try:
            inside = json.loads(value)
        except (ValueError, RecursionError):
            inside = value
        if isinstance(inside, dict):
            return [(f"{name}.{key}", one) for key, one in cast(dict[str, Any], inside).items()]
    return [(name, value)]


def _text(value: Any) -> str | None:
    """Spell a number or a text; None if it is anything else."""
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
    """Return the attributes of a file's root."""
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        kinds = {name: file.attrs.get_id(name) for name in list(file.attrs)[:MOST]}
        small = [name for name, kind in kinds.items() if int(np.prod(kind.shape or 1)) == 1]
        return texts((name, file.attrs[name]) for name in small)


def of_parquet(path: Path) -> dict[str, str]:
    """Return the metadata of a file, without what programs keep there for themselves."""
    from pyarrow.parquet import read_metadata

    pairs: dict[bytes, bytes] = read_metadata(path).metadata or {}
    own = (b"ARROW:schema", b"pandas", b"huggingface")
    return texts(
        (key.decode("utf-8", "replace"), value) for key, value in pairs.items() if key not in own
    )
