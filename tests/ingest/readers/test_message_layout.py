"""Layouts of ROS messages: columns hold the values that rosbags decodes message by message."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from rosbags.interfaces import Nodetype

from kinemill.ingest.raw import Header, Unreadable
from kinemill.ingest.readers import _messages
from kinemill.ingest.readers._messages import MessageCollector
from kinemill.ingest.readers._ros import decoder
from tests.conftest import learning_task
from tests.ingest.messages import ros_types

TYPES = [
    "diagnostic_msgs/msg/DiagnosticArray",
    "nav_msgs/msg/Odometry",
    "sensor_msgs/msg/BatteryState",
    "sensor_msgs/msg/Imu",
    "sensor_msgs/msg/JointState",
    "sensor_msgs/msg/LaserScan",
    "std_msgs/msg/Empty",
    "std_msgs/msg/UInt64",
    "trajectory_msgs/msg/JointTrajectory",
]
CASES = [*product((1, 2), TYPES), (2, "tf2_msgs/msg/TFMessage")]
MESSAGES = 60


def make_task(names, time=("log_time",)):
    channels = {f"c{at}": {"role": "state", "unit": "", "source": n} for at, n in enumerate(names)}
    channels["u"] = {"role": "action", "unit": "", "source": names[0] if names else "/t.x"}
    return learning_task("t", 0.01, channels, ingest={"time": time})


def make_value(store, field, random):
    """Return a random value of a field; texts and lengths take few values."""
    node, content = field
    if node == Nodetype.NAME:
        fields = store.fielddefs[content][1]
        return store.types[content](*(make_value(store, part, random) for _, part in fields))
    if node == Nodetype.BASE:
        if content[0] == "string":
            return ("a", "odom", "")[random.choice(3, p=[0.96, 0.02, 0.02])]
        return make_numbers(content[0], 1, random)[0].item()
    element, length = content
    if node == Nodetype.SEQUENCE:
        length = int(random.choice(3, p=[0.02, 0.02, 0.96]))
    if element[0] == Nodetype.BASE and element[1][0] != "string":
        return make_numbers(element[1][0], length, random)
    return [make_value(store, element, random) for _ in range(length)]


def make_numbers(kind, count, random):
    dtype = np.dtype({"char": "uint8", "byte": "int8"}.get(kind, kind))
    if dtype.kind == "f":
        values = random.normal(size=count).astype(dtype)
        return np.where(random.random(count) < 0.1, np.nan, values).astype(dtype)
    if dtype.kind == "b":
        return random.random(count) < 0.5
    return random.integers(0, np.iinfo(dtype).max, count, dtype, endpoint=True)


def collect(task, messages, decode):
    collector = MessageCollector(task)
    for at, data in enumerate(messages):
        collector.add("/t", data, decode, at)
    return collector.log()


@pytest.mark.parametrize(("ros", "kind"), CASES)
def test_columns_of_random_messages_equal_decoded_messages(ros, kind, monkeypatch):
    store = ros_types(ros)
    random = np.random.default_rng(3)
    values = [make_value(store, (Nodetype.NAME, kind), random) for _ in range(MESSAGES)]
    if ros == 1:
        messages = [bytes(store.serialize_ros1(value, kind)) for value in values]
    else:
        orders = random.random(MESSAGES) < 0.9
        messages = [
            bytes(store.serialize_cdr(value, kind, little_endian=bool(order)))
            for value, order in zip(values, orders, strict=True)
        ]
    messages[7] = messages[7][:-1]  # cannot be decoded
    monkeypatch.setattr(_messages, "BLOCK", 4 * len(messages[0]) or 1)
    definition, _ = store.generate_msgdef(kind, ros_version=ros)
    decode = decoder(kind, "ros1msg" if ros == 1 else "ros2msg", definition)
    assert decode.layout is not None
    listing = make_task([]).model_copy(update={"channels": {}})
    with pytest.raises(Header) as header:
        collect(listing, messages, decode)
    names = header.value.names or ["/t.nothing"]
    task = make_task(names[:: max(len(names) // 40, 1)], ("header.stamp", "log_time"))
    decoded = []
    counted = replace(decode, decode=lambda data: decoded.append(data) or decode.decode(data))
    if names == ["/t.nothing"]:
        with pytest.raises(Unreadable):
            collect(task, messages, counted)
        return
    columns = collect(task, messages, counted)
    assert len(decoded) < MESSAGES + 4  # of each layout the first; each block tries one
    alone = collect(task, messages, replace(decode, layout=None))
    assert columns.dropped_rows == alone.dropped_rows
    assert columns.reasons == alone.reasons
    for name, expected in alone.signals.items():
        signal = columns.signals[name]
        assert signal.values.equals(expected.values)
        assert signal.time.equals(expected.time)
        np.testing.assert_array_equal(signal.order, expected.order)
