"""Tables in text files with a suffix that other texts have too.

Such a file is a log if it begins with a header and a row of numbers, or with rows of numbers alone.
It is read as CSV is.
"""

from kinemill.ingest.raw import Reader
from kinemill.ingest.readers._csv_layout import is_table
from kinemill.ingest.readers._plain_table import is_plain
from kinemill.ingest.readers.csv import about, read
from kinemill.task.plugins import READERS

READERS.register("text")(
    Reader(
        (".txt", ".dat", ".log"),
        lambda head: is_table(head) or is_plain(head),
        read,
        shared=True,
        about=about,
    )
)
