"""Tables in text files with a general suffix, such as `.txt`.

Such a file is a log if it begins with a header and a row of numbers, or with rows of numbers alone.
It is read in the same way as a CSV file.
"""

import re

from kinemill.ingest.raw import Reader
from kinemill.ingest.readers._csv_layout import is_table
from kinemill.ingest.readers._plain_table import is_plain
from kinemill.ingest.readers.csv import about, read
from kinemill.task.plugins import READERS

_FRAMES = re.compile(rb"^base (hex|dec)\b", re.MULTILINE)  # of a CAN trace of Vector

READERS.register("text")(
    Reader(
        (".txt", ".dat", ".log", ".lvm", ".asc", ".ascii", ".tab", ".prn", ".out", ".mot", ".sto"),
        lambda head: not _FRAMES.search(head) and (is_table(head) or is_plain(head)),
        read,
        shared=True,
        about=about,
    )
)
