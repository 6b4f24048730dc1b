"""Speed of readers: logs of each format to published recordings, against the parser of users.

Files of the simulated arm (15 channels at 500 Hz, see `benchmarks.ingest`) are ingested into an
empty home, hashed, checked and written, in turn with a plain parse of the same files by polars,
pyulog or rosbags, which decodes all fields. Both are measured in CPU seconds.
"""

import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import ROUNDS, Row, main, paired
from benchmarks.ingest import JOINTS, simulate, task
from kinemill.ingest import stage as ingest
from kinemill.process import tune_process
from kinemill.store.home import Home
from kinemill.task import Task

FILES = 2
ROWS = 200_000  # rows of a file
MESSAGES = 50_000  # of a file of ROS messages
TOPIC = "joint_states"
START = 1_700_000_000_000_000_000  # ns
FIELDS = {"position": "angle", "velocity": "velocity", "effort": "torque"}


def measure(rows: int = ROWS, messages: int = MESSAGES, rounds: int = ROUNDS) -> list[Row]:
    """Return the speed of each format, MB by CPU second."""
    tune_process()
    measured = list[Row]()
    with tempfile.TemporaryDirectory(prefix="kinemill-readers-") as folder:
        for suffix, layout in FORMATS.items():
            logs = Path(folder) / suffix
            logs.mkdir()
            size = messages if layout.parse is rosbags else rows
            for seed in range(FILES):
                layout.write(simulate(size, seed), logs / f"log{seed}.{suffix}")
            measured.append(_speed(logs, size, rounds))
    return measured


def _speed(logs: Path, size: int, rounds: int) -> Row:
    paths = _paths(logs)
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    homes = count()

    def read_all() -> None:
        home = Home(logs.with_name(f"home{next(homes)}"))
        read = _ingest(home, logs)
        shutil.rmtree(home.root)
        assert read >= 0.99 * FILES * size, f"{read} rows were read"

    work = f"{logs.name} to recordings, {FILES} files of {megabytes / FILES:.0f} MB"
    cases = {"ours": read_all, FORMATS[logs.name].parse.__name__: lambda: _parse(logs)}
    return paired(work, "MB/CPU s", megabytes, cases, rounds)


def _paths(logs: Path) -> list[Path]:
    return sorted(path for path in logs.rglob("*") if path.suffix == f".{logs.name}")


def _ingest(home: Home, logs: Path) -> int:
    """Ingest the logs of a format, and return their rows."""
    return int(ingest.run(_task(FORMATS[logs.name].source), home, logs).artifact.summary["rows"])


def _parse(logs: Path) -> None:
    """Parse the logs of a format, and drop what was read."""
    for path in _paths(logs):
        FORMATS[logs.name].parse(path)


def _task(source: str) -> Task:
    """Return the task of the arm with the sources of a format: `{field}`, `{joint}`, `{name}`."""
    document = task().model_dump(mode="json", exclude_unset=True, by_alias=True)
    for joint in range(JOINTS):
        for field, kind in FIELDS.items():
            name = f"joint{joint}_{kind}"
            text = source.format(field=field, joint=joint, name=name)
            document["channels"][name]["source"] = text
    return Task.model_validate(document)


def polars_read_csv(path: Path) -> object:
    """Parse a CSV file."""
    return pl.read_csv(path)


def polars_read_parquet(path: Path) -> object:
    """Parse a Parquet file."""
    return pl.read_parquet(path)


def pyulog(path: Path) -> object:
    """Parse a ULog file."""
    from pyulog import ULog

    return ULog(str(path)).data_list


def rosbags(path: Path) -> object:
    """Decode each message of a bag."""
    from rosbags.highlevel import AnyReader

    with AnyReader([path if path.suffix == ".bag" else path.parent]) as reader:
        for connection, _, data in reader.messages():
            reader.deserialize(data, connection.msgtype)


def _write_ulog(log: pl.DataFrame, path: Path) -> None:
    """Write one topic with all channels as floats."""
    names = log.columns[1:]
    text = f"arm:uint64_t timestamp;{''.join(f'float {name};' for name in names)}".encode()
    dtype = [("size", "<u2"), ("kind", "S1"), ("id", "<u2"), ("timestamp", "<u8")]
    records = np.zeros(log.height, [*dtype, *((name, "<f4") for name in names)])
    records["size"] = records.itemsize - 3
    records["kind"] = b"D"
    records["timestamp"] = 1_000_000 + (log["time"].to_numpy() * 1e6).astype(np.uint64)
    for name in names:
        records[name] = log[name].to_numpy()
    head = b"ULog\x01\x12\x35\x01" + bytes(8) + _record("B", bytes(40)) + _record("F", text)
    path.write_bytes(head + _record("A", bytes(3) + b"arm") + records.tobytes())


def _record(kind: str, payload: bytes) -> bytes:
    return struct.pack("<H", len(payload)) + kind.encode() + payload


def _write_bag(log: pl.DataFrame, path: Path) -> None:
    """Write `sensor_msgs/JointState` messages as a ROS 1 bag, or as the storage of a ROS 2 bag."""
    from rosbags.rosbag1 import Writer as Ros1
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as Ros2
    from rosbags.typesys import Stores, get_typestore

    is_ros1 = path.suffix == ".bag"
    store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    serialize = store.serialize_ros1 if is_ros1 else store.serialize_cdr
    state, header, time = (
        store.types[f"{name}"]
        for name in (
            "sensor_msgs/msg/JointState",
            "std_msgs/msg/Header",
            "builtin_interfaces/msg/Time",
        )
    )
    plugin = StoragePlugin.MCAP if path.suffix == ".mcap" else StoragePlugin.SQLITE3
    bag = Ros1(path) if is_ros1 else Ros2(path.with_suffix(""), version=9, storage_plugin=plugin)
    names = [f"joint{joint}" for joint in range(JOINTS)]
    columns = [
        log.select(f"{name}_{kind}" for name in names).to_numpy() for kind in FIELDS.values()
    ]
    with bag:
        connection = bag.add_connection(f"/{TOPIC}", state.__msgtype__, typestore=store)
        for at, stamp in enumerate((log["time"].to_numpy() * 1e9).astype(np.int64).tolist()):
            head = {"stamp": time(*divmod(START + stamp, 10**9)), "frame_id": "base"}
            head |= {"seq": at} if is_ros1 else {}
            values = [np.ascontiguousarray(part[at]) for part in columns]
            message = state(header(**head), names, *values)
            bag.write(connection, START + stamp, serialize(message, state.__msgtype__))


@dataclass(frozen=True)
class Format:
    """How the logs of a format are written, what users parse them with, and where channels are."""

    write: Callable[[pl.DataFrame, Path], object]
    parse: Callable[[Path], object]
    source: str


_BAG = Format(_write_bag, rosbags, f"/{TOPIC}.{{field}}[{{joint}}]")
FORMATS = {
    "csv": Format(
        lambda log, path: log.write_csv(path, float_precision=7), polars_read_csv, "{name}"
    ),
    "parquet": Format(lambda log, path: log.write_parquet(path), polars_read_parquet, "{name}"),
    "ulg": Format(_write_ulog, pyulog, "arm.{name}"),
    "db3": _BAG,
    "mcap": _BAG,
    "bag": _BAG,
}

if __name__ == "__main__":
    main("readers", measure)
