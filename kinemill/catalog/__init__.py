"""Catalog: one database of what is known about the recordings of all tasks.

It holds rows about published artifacts and no bytes of its own, so it can be rebuilt from the store
(`kinemill admin rebuild-catalog`). The names below are the public API.
"""

from kinemill.catalog.database import discard, open_connections, transaction
from kinemill.catalog.history import change_of, ended_paths, live_paths
from kinemill.catalog.recordings import (
    CatalogEntry,
    CatalogHead,
    RecordingSet,
    SetRules,
    Totals,
    amend,
    forget,
    read_head,
    set_digest_of,
    totals_of,
)

__all__ = [
    "CatalogEntry",
    "CatalogHead",
    "RecordingSet",
    "SetRules",
    "Totals",
    "amend",
    "change_of",
    "discard",
    "ended_paths",
    "forget",
    "live_paths",
    "open_connections",
    "read_head",
    "set_digest_of",
    "totals_of",
    "transaction",
]
