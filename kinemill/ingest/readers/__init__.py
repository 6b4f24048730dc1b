"""Log formats, one file each: a `Reader` registered under the format's name; see `csv.py`."""

from kinemill.task.plugins import READERS

__all__ = ["READERS"]
