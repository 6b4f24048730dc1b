"""Formats of recordings that no reader reads, and how to convert them to one that is read."""

from pathlib import Path

_SPREADSHEET = "a spreadsheet", "save each sheet as CSV"
_TABLES = {
    ".tlog": (
        "a MAVLink telemetry log, which needs the message definitions of its vehicle",
        "use the DataFlash log of the flight (.bin), or write each message type as CSV with "
        "pymavlink (mavlogdump.py --format csv --types ATTITUDE FILE > attitude.csv) and join "
        "them: kinemill data join --by time",
    ),
    ".tdms": (
        "a LabVIEW file",
        "write it as CSV with npTDMS: TdmsFile.read(FILE).as_dataframe().to_csv(NEW)",
    ),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), _SPREADSHEET),
}
_ARCHIVE = "an archive, and no reader extracts it", "extract it next to the other logs"
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")  # of something that is no log


_POINTER = b"version https://git-lfs.github.com/spec/"  # first bytes of a pointer of Git LFS


def is_pointer(path: Path) -> bool:
    """Return whether a file is a pointer of Git LFS, which names the content of a log."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def other_format(path: Path) -> tuple[str, str] | None:
    """Return what an unreadable file is, and the fix; None if its suffix is unknown."""
    name = path.name.lower()
    if name.endswith((*_ARCHIVES, *_COMPRESSED)):
        return _ARCHIVE
    return _TABLES.get(path.suffix.lower())
