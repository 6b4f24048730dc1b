"""Logs of messages that tests write: one robot, joint states at 100 Hz and commands at 20 Hz."""

import json
import struct
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

TASK = """
task: arm
dt: 0.01
channels:
  angle:    {role: state, kind: angle, unit: rad, source: "/joints.position[1]"}
  velocity: {role: state, unit: rad/s, derivative_of: angle, source: "/joints.velocity[1]"}
  torque:   {role: action, unit: N*m, source: /command.data, resample: {method: hold, max_gap: 0.2}}
ingest: {min_file_age: 0.0}
learn: {type: dynamics, model: {type: mlp}}
"""
START = 1_700_000_000_000_000_000  # ns
SECONDS = 2.0

Message = tuple[str, int, dict]  # topic, ns, what it holds


def joints(seconds: float) -> dict:
    position, velocity = [0.0, np.sin(seconds)], [0.0, np.cos(seconds)]
    return {"position": position, "velocity": velocity}


def run(start: int = START, seconds: float = SECONDS) -> list[Message]:
    """Messages in the order of time: joints at k/100 s, commands at k/20 + 0.003 s."""
    messages = [("/joints", k / 100, joints(k / 100)) for k in range(round(100 * seconds))]
    messages += [
        ("/command", k / 20 + 0.003, {"data": float(k)}) for k in range(round(20 * seconds))
    ]
    messages.sort(key=lambda item: item[1])
    return [(topic, start + round(at * 1e9), message) for topic, at, message in messages]


def write_mcap(
    path: Path, messages: Iterable[Message], chunk: int = 1 << 20, **options: object
) -> Path:
    """Write JSON messages, `chunk` bytes to a chunk."""
    from mcap.writer import Writer

    with path.open("wb") as file:
        writer = Writer(file, chunk_size=chunk, **options)
        writer.start()
        channels: dict[str, int] = {}
        for topic, stamp, message in messages:
            if topic not in channels:
                schema = writer.register_schema("Any", "jsonschema", b'{"type": "object"}')
                channels[topic] = writer.register_channel(topic, "json", schema)
            data = json.dumps(message).encode()
            writer.add_message(channels[topic], stamp, data, stamp)
        writer.finish()
    return path


@cache
def ros_types(ros: int):
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS1_NOETIC if ros == 1 else Stores.ROS2_HUMBLE)


def ros_message(topic: str, stamp: int, message: dict, ros: int) -> tuple[str, bytes]:
    """Return the type and the bytes of a message; its header is stamped 5 ms before the log."""
    store = ros_types(ros)
    if topic == "/command":
        kind = "std_msgs/msg/Float64"
        value = store.types[kind](message["data"])
    else:
        kind = "sensor_msgs/msg/JointState"
        time = store.types["builtin_interfaces/msg/Time"](*divmod(stamp - 5_000_000, 1_000_000_000))
        extra = {"seq": 0} if ros == 1 else {}
        header = store.types["std_msgs/msg/Header"](stamp=time, frame_id="base", **extra)
        value = store.types[kind](
            header=header,
            name=["a", "b"],
            position=np.array(message["position"]),
            velocity=np.array(message["velocity"]),
            effort=np.zeros(0),
        )
    data = store.serialize_ros1(value, kind) if ros == 1 else store.serialize_cdr(value, kind)
    return kind, bytes(data)


def write_bag(path: Path, messages: Iterable[Message], plugin: str = "") -> Path:
    """Write a ROS 1 bag, or with a plugin (SQLITE3, MCAP) the storage file of a ROS 2 bag."""
    from rosbags.rosbag1 import Writer as Writer1
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as Writer2

    ros = 2 if plugin else 1
    store = ros_types(ros)
    bag = (
        Writer2(path, version=9, storage_plugin=StoragePlugin[plugin]) if plugin else Writer1(path)
    )
    with bag:
        connections: dict[str, object] = {}
        for topic, stamp, message in messages:
            kind, data = ros_message(topic, stamp, message, ros)
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, kind, typestore=store)
            bag.write(connections[topic], stamp, data)
    if not plugin:
        return path
    (storage,) = [file for file in path.iterdir() if file.suffix != ".yaml"]
    return storage


def ulog_record(kind: str, payload: bytes) -> bytes:
    return len(payload).to_bytes(2, "little") + kind.encode() + payload


def ulog_bytes(
    samples: Iterable[tuple[int, int, float]], start: int = 0, extra: dict[int, bytes] | None = None
) -> bytes:
    """A ULog of two topics: 0 is `joint` with position[2] and a bool, 1 is `command`.

    Args:
        samples: (topic, stamp in us, value), the value of a joint standing in position[1].
        start: when the log says that it began, us.
        extra: records to write before the sample of that number.
    """
    types = (
        "pair:double[2] value;",
        "joint:uint64_t timestamp;pair position;bool ok;uint8_t[7] _padding0;",
        "command:uint64_t timestamp;float value;uint8_t[4] _padding0;",
    )
    out = b"ULog\x01\x12\x35\x01" + start.to_bytes(8, "little")
    out += ulog_record("B", bytes(40))
    out += b"".join(ulog_record("F", text.encode()) for text in types)
    for number, name in enumerate((b"joint", b"command")):
        out += ulog_record("A", bytes([0]) + number.to_bytes(2, "little") + name)
    for index, (topic, stamp, value) in enumerate(samples):
        out += (extra or {}).get(index, b"")
        packed = struct.pack("<dd?", 0.0, value, True) if topic == 0 else struct.pack("<f", value)
        head = topic.to_bytes(2, "little") + stamp.to_bytes(8, "little")
        out += ulog_record("D", head + packed)
    return out


def ulog_samples(start: int = 1_000_000, seconds: float = 2.0) -> list[tuple[int, int, float]]:
    """The joint at 100 Hz, sin of the time, and the command at 20 Hz, counting up."""
    samples = [(0, start + 10_000 * k, float(np.sin(k / 100))) for k in range(round(100 * seconds))]
    samples += [(1, start + 50_000 * k + 3_000, float(k)) for k in range(round(20 * seconds))]
    return sorted(samples, key=lambda item: item[1])


_DATAFLASH = {  # name: number, formats, fields, units, multipliers; value of a letter in a format
    "FMT": (128, "BBnNZ", "Type,Length,Name,Format,Columns", "", ""),
    "UNIT": (10, "QbZ", "TimeUS,Id,Label", "", ""),
    "MULT": (11, "Qbd", "TimeUS,Id,Mult", "", ""),
    "FMTU": (12, "QBNN", "TimeUS,FmtType,UnitIds,MultIds", "", ""),
    "ATT": (20, "Qccf", "TimeUS,Roll,DesRoll,Yaw", "sddh", "F000"),
    "IMU": (21, "QBfH", "TimeUS,I,GyrX,T", "s#EO", "F--B"),
    "RCOU": (22, "QHH", "TimeUS,C1,C2", "sYY", "F--"),
    "MSG": (23, "QZ", "TimeUS,Message", "s-", "F-"),
}
_UNITS = {"s": "s", "d": "deg", "h": "degheading", "E": "rad/s", "O": "degC", "Y": "us", "-": ""}
_MULTIPLIERS = {"F": 1e-6, "B": 0.01, "0": 1.0, "-": 0.0}
_LETTERS = {"n": "4s", "N": "16s", "Z": "64s", "c": "h"}


def dataflash_message(name: str, *values: object) -> bytes:
    """One message of an ArduPilot log."""
    number, formats, *_ = _DATAFLASH[name]
    layout = "<" + "".join(_LETTERS.get(letter, letter) for letter in formats)
    return b"\xa3\x95" + bytes([number]) + struct.pack(layout, *values)


def dataflash_definition(name: str) -> bytes:
    """The message that defines a type."""
    number, formats, fields, *_ = _DATAFLASH[name]
    layout = "<" + "".join(_LETTERS.get(letter, letter) for letter in formats)
    texts = (text.encode() for text in (name, formats, fields))
    return dataflash_message("FMT", number, 3 + struct.calcsize(layout), *texts)


def dataflash_bytes(seconds: float = 2.0, start: int = 1_000_000, units: bool = True) -> bytes:
    """An ArduPilot log: roll and a motor at 50 Hz, two gyros at 100 Hz, and the firmware."""
    out = b"".join(map(dataflash_definition, _DATAFLASH))
    if units:
        pairs = [("UNIT", key, text.encode()) for key, text in _UNITS.items()]
        pairs += [("MULT", key, factor) for key, factor in _MULTIPLIERS.items()]
        out += b"".join(dataflash_message(kind, 5, ord(key), one) for kind, key, one in pairs)
        for number, _, _, own, multipliers in list(_DATAFLASH.values())[4:]:
            out += dataflash_message("FMTU", 6, number, own.encode(), multipliers.encode())
    out += dataflash_message("MSG", 7, b"ArduCopter V4.5.1 (0123abcd)")
    for k in range(round(100 * seconds)):
        stamp, t = start + 10_000 * k, 0.01 * k
        if k % 2 == 0:
            roll = round(3000 * np.sin(3 * t))
            out += dataflash_message("ATT", stamp, roll, 0, float(k % 360))
            out += dataflash_message("RCOU", stamp + 7, 1500 + round(300 * np.cos(3 * t)), 1500)
        for number in range(2):
            rate = float(np.radians(30) * 3 * np.cos(3 * t)) + number
            out += dataflash_message("IMU", stamp + 11, number, rate, 2500)
    return out
