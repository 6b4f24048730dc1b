"""Attributes of a file, as text under names, and attributes of its columns.

Those of the file are read at first ingest and become metadata of the recording, not part of its
identity. Those of columns serve drafts: units and valid ranges, by the names of the CF conventions
for climate and forecast metadata 1.11, appendix A (`units`, `valid_range`, `valid_min`,
`valid_max`), and `unit`. Attributes that cannot be read are skipped, so that the recording is kept.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from kinemill.ingest.raw import ColumnAttributes

MOST = 64
LONGEST = 1000  # largest number of attributes, and of characters of each
MOST_COLUMNS = 10_000
WIDEST = 4096  # columns whose attributes are read, and their elements
_UNITS = ("units", "unit")
_RANGES = ("valid_range", "valid_min", "valid_max")


def texts(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Return the numbers and texts among attributes as text by name, JSON objects by `name.key`.

    At most `MOST` attributes of at most `LONGEST` characters are returned.
    """
    attributes: dict[str, str] = {}
    for name, value in pairs:
        for key, child in _flat(name, value):
            text = _text(child)
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
            return [(f"{name}.{key}", child) for key, child in cast(dict[str, Any], inside).items()]
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


def of_hdf5(file: Any) -> dict[str, str]:
    """Return the attributes of the root group of an open HDF5 file, as text by name."""
    kinds = {name: file.attrs.get_id(name) for name in list(file.attrs)[:MOST]}
    small = [name for name, kind in kinds.items() if int(np.prod(kind.shape or 1)) == 1]
    return texts((name, file.attrs[name]) for name in small)


def of_parquet(path: Path) -> dict[str, str]:
    """Return the metadata of a Parquet file, without the keys of Arrow, pandas and Hugging Face."""
    from pyarrow.parquet import read_metadata

    pairs: dict[bytes, bytes] = read_metadata(path).metadata or {}
    internal = (b"ARROW:schema", b"pandas", b"huggingface")
    return texts(
        (key.decode("utf-8", "replace"), value)
        for key, value in pairs.items()
        if key not in internal
    )


def columns_of_hdf5(file: Any) -> dict[str, ColumnAttributes]:
    """Return units and valid ranges of the data sets of an open HDF5 file, by their paths."""
    import h5py

    columns: dict[str, ColumnAttributes] = {}

    def visit(name: str, item: object) -> bool | None:
        if isinstance(item, h5py.Dataset):
            kinds = {
                key: item.attrs.get_id(key) for key in (*_UNITS, *_RANGES) if key in item.attrs
            }
            small = [key for key, kind in kinds.items() if np.prod(kind.shape or 1) <= WIDEST]
            if attributes := _column({key: item.attrs[key] for key in small}):
                columns[name] = attributes
        return True if len(columns) >= MOST_COLUMNS else None  # True ends the visit

    file.visititems(visit)  # hard links only
    return columns


def columns_of_parquet(path: Path) -> dict[str, ColumnAttributes]:
    """Return units and valid ranges of the columns of a Parquet file, from their field metadata."""
    from pyarrow.parquet import read_schema

    columns: dict[str, ColumnAttributes] = {}
    for field in [*read_schema(path)][:MOST_COLUMNS]:
        pairs: dict[bytes, bytes] = field.metadata or {}
        texts = {key.decode("utf-8", "replace"): value for key, value in pairs.items()}
        if attributes := _column({key: texts[key] for key in (*_UNITS, *_RANGES) if key in texts}):
            columns[field.name] = attributes
    return columns


def _column(stated: Mapping[str, object]) -> ColumnAttributes | None:
    """Return the attributes of a column; None if it states none that can be read."""
    unit = next((text for key in _UNITS if (text := _text(stated.get(key)))), "")
    whole = _numbers(stated.get("valid_range"))
    if len(whole) == 2:
        low = whole[:1]
        high = whole[1:]
    else:
        low, high = (_numbers(stated.get(key)) for key in ("valid_min", "valid_max"))
    attributes = ColumnAttributes(unit, low or (math.nan,), high or (math.nan,))
    return attributes if unit or low or high else None


def _numbers(value: object) -> tuple[float, ...]:
    """Return an attribute as numbers; none if it holds anything else."""
    if isinstance(value, bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ()
    try:
        return tuple(np.asarray(value, dtype=np.float64).reshape(-1).tolist())
    except (TypeError, ValueError):
        return ()
