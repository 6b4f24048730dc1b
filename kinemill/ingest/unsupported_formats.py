"""Formats of recordings that no reader reads, and how to convert them to one that is read."""

from pathlib import Path

from kinemill.errors import BadLog

SDLOG2 = "a log of PX4's old logger (sdlog2)", "write it as CSV with sdlog2_dump.py of PX4"
_FORMATS = (  # suffixes, what it is, and how to convert it
    (
        ".tlog",
        "a MAVLink telemetry log, which needs the message definitions of its vehicle",
        "use the DataFlash log of the flight (.bin), or write each message type as CSV with "
        "pymavlink (mavlogdump.py --format csv --types ATTITUDE FILE > attitude.csv) and join "
        "them: kinemill data join --by time",
    ),
    (".tdms", "a LabVIEW file",
     "write it as CSV with npTDMS: TdmsFile.read(FILE).as_dataframe().to_csv(NEW)"),
    (".xlsx .xls .ods", "a spreadsheet", "save each sheet as CSV"),
    (".bfl .bbl", "a Betaflight blackbox log", "decode it: blackbox_decode FILE, which writes CSV"),
    (".mf4 .mdf", "a measurement file (ASAM MDF)",
     "write it as CSV with asammdf: MDF(FILE).export('csv')"),
    (".blf .asc .trc", "a CAN trace",
     "decode it with the DBC file of the vehicle, with cantools and python-can, to CSV"),
    (".px4log", *SDLOG2),
    (".mp4 .avi .mkv .mov .webm", "a video", "no channel is read from it here"),
    (".pkl .pickle", "a pickle, which could run code", "write CSV or .npz"),
    (".yaml .yml", "YAML, which ros2 topic echo prints",
     "record the topics: ros2 bag record -s mcap"),
    (".rrd", "a recording of Rerun", "write it as CSV: rerun rrd print, or the dataframe API"),
    (".c3d", "a motion capture file", "write it as CSV with ezc3d or Mokka"),
    (".bvh", "motion capture of a skeleton",
     "retarget it to the joints of the robot, and write CSV or .npz"),
    (".tfrecord", "a data set of TensorFlow (RLDS)",
     "write each episode as .npz: tfds.builder_from_directory(FOLDER).as_data_source('train')"),
)  # fmt: skip
_TABLES = {suffix: (what, fix) for suffixes, what, fix in _FORMATS for suffix in suffixes.split()}
# First bytes of formats whose suffix does not show them.
_HEADS = (
    (b"TDSm", _TABLES[".tdms"]),
    (b"LOGG", _TABLES[".blf"]),
    (b"MDF  ", _TABLES[".mf4"]),
    (b"H Product:Blackbox", _TABLES[".bfl"]),
    (b"PK\x03\x04", ("a zip archive or a spreadsheet", "extract it, or save each sheet as CSV")),
)
_ZARR = ".zgroup", "zarr.json"  # of a group or an array
_ARCHIVE = "an archive, and no reader extracts it", "extract it next to the other logs"
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")  # of something that is no log


_POINTER = b"version https://git-lfs.github.com/spec/"  # first bytes of a pointer of Git LFS


def is_pointer(path: Path) -> bool:
    """Return whether a file is a pointer of Git LFS, which names the content of a log."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def format_by_suffix(path: Path) -> tuple[str, str] | None:
    """Return what an unreadable file is by its suffix, and the fix; None if it is unknown."""
    if path.name in _ZARR and not any((path.parent.parent / name).exists() for name in _ZARR):
        return (
            "a zarr store",
            "write its arrays as .npz: np.savez(NEW, **zarr.open(FOLDER)), or of groups: "
            "np.savez(NEW, **store['data'], **store['meta'])",
        )
    if path.name == "metadata.yaml":
        return "metadata, as of a ROS 2 bag", ""
    is_archive = path.name.lower().endswith(_ARCHIVES)
    suffix = path.suffix.lower().partition("-")[0]  # .tfrecord-00000-of-00001
    return _ARCHIVE if is_archive else _TABLES.get(suffix)


def unsupported_format(path: Path) -> tuple[str, str] | None:
    """Return what an unreadable file is, and the fix; None if neither suffix nor head is known."""
    if format_ := format_by_suffix(path):
        return format_
    if path.name.lower().endswith(_COMPRESSED):
        return _ARCHIVE
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return None  # whoever reads it names the problem
    return next((format_ for start, format_ in _HEADS if head.startswith(start)), None)


def unsupported_error(path: Path) -> BadLog | None:
    """Return the error of a log of a known format that no reader reads; None for other files."""
    format_ = unsupported_format(path)
    return format_ and BadLog(path, f"is {format_[0]}", expected="a log", fix=format_[1])
