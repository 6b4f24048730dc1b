"""Ingest: raw logs in, recordings out.

From the files in a drop folder (tables, arrays, messages on topics: see `readers/`) to one outcome
per recording: its tracks, continuous stretches at the task's time step with the task's names of
channels and units (`time_s` in s since the first stamp of the recording, or of its part; angles
in rad, unwrapped), or the reasons why it is quarantined, or both. A recording is known by the
sha256 of its bytes, so renames, copies and reruns add nothing; the bytes are kept, and the files
themselves are never touched.

Refreshed when files arrive. Rows are counted from 1, the first under the header.
"""

from kinemill.ingest.files import drop_folder
from kinemill.ingest.raw import (
    RawLog,
    Reader,
    Signal,
    Unreadable,
    elements,
    match_columns,
    reason,
    refused,
    row_numbers,
    split_index,
)
from kinemill.ingest.recordings import Recording, load_recordings
from kinemill.ingest.report import IngestReport

__all__ = [
    "IngestReport",
    "RawLog",
    "Reader",
    "Recording",
    "Signal",
    "Unreadable",
    "drop_folder",
    "elements",
    "load_recordings",
    "match_columns",
    "reason",
    "refused",
    "row_numbers",
    "split_index",
]
