"""Ingest: raw logs in, recordings out.

From the files in a drop folder (CSV, Parquet) to one published outcome per recording: its tracks,
continuous stretches at the task's time step with the task's channel names and units (`time_s` in s
since the recording's first stamp; angles in rad, unwrapped), or the reasons why it is quarantined,
or both. A recording is known by the sha256 of its bytes, so renames, copies and reruns add nothing;
the bytes are kept, and the files themselves are never touched.

Refreshed when files arrive. Rows are counted from 1, the first under the header.
"""

from kinemill.ingest.files import fingerprint, settled
from kinemill.ingest.raw import RawLog, Reader, Unreadable, match_columns, reason
from kinemill.ingest.recordings import (
    IngestReport,
    Recording,
    drop_folder,
    ingest,
    load_recordings,
)

__all__ = [
    "IngestReport",
    "RawLog",
    "Reader",
    "Recording",
    "Unreadable",
    "drop_folder",
    "fingerprint",
    "ingest",
    "load_recordings",
    "match_columns",
    "reason",
    "settled",
]
