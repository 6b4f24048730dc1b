"""Storage: content-addressed artifacts, JSON files, locks, disk space, remote copies, the home.

The names below are the public API. A result is published as a folder
`store/<stage>/<task>/<key>/`; the key is a digest of everything the result depends on.
"""

from kinemill.store.artifacts import (
    SUMMARY,
    Artifact,
    ArtifactRef,
    Staged,
    StoredSummary,
    drop_indexes,
    find,
    get_or_build,
    index_path,
    open_ref,
    peek,
    publish_staged,
    recomputed,
    stage_artifact,
    summary_of,
)
from kinemill.store.digests import file_digest
from kinemill.store.documents import (
    from_json_value,
    parse_document,
    publish_document,
    read_document,
    to_json_value,
    write_document,
)
from kinemill.store.fault_injection import fault_point
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.json_io import (
    Json,
    as_json,
    aside_of,
    canonical,
    digest,
    publish_file,
    publish_json,
    publish_shared,
    read_json,
    write_json,
)
from kinemill.store.manifest import MANIFEST

__all__ = [
    "MANIFEST",
    "SUMMARY",
    "Artifact",
    "ArtifactRef",
    "Format",
    "Home",
    "Json",
    "Staged",
    "StoredSummary",
    "as_json",
    "aside_of",
    "canonical",
    "digest",
    "drop_indexes",
    "fault_point",
    "file_digest",
    "find",
    "from_json_value",
    "get_or_build",
    "index_path",
    "open_ref",
    "parse_document",
    "peek",
    "publish_document",
    "publish_file",
    "publish_json",
    "publish_shared",
    "publish_staged",
    "read_document",
    "read_json",
    "recomputed",
    "stage_artifact",
    "summary_of",
    "to_json_value",
    "write_document",
    "write_json",
]
