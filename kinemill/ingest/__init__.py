"""Ingest: read raw logs and publish recordings.

    from kinemill.ingest import stage

    report = stage.run(task, home, folder)

A reader of `readers/` returns the columns of a log. They become tracks: continuous stretches at
the time step of the task, with its channel names and units (`time_s` in s since the first
timestamp of the recording or part; angles in rad, unwrapped). A recording with reasons and
without tracks is quarantined.

The sha256 of its bytes identifies a recording, so renames, copies and reruns add nothing. The raw
bytes are kept, and the files in the folder stay untouched. Rows are counted from 1, the first
under the header.
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
    refused_part,
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
    "refused_part",
    "row_numbers",
    "split_index",
]
