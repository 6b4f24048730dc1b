"""Elements of messages are matched by the names that each message gives them."""

import json

import numpy as np
import pytest

from kinemill.draft.schema_inference import empty_task
from kinemill.ingest.raw import Header
from kinemill.ingest.readers import _message_fields, _messages
from kinemill.ingest.readers._messages import MessageCollector
from kinemill.ingest.readers._ros import Decoder, decoder
from kinemill.ingest.readers.mcap import _shape
from tests.conftest import learning_task
from tests.ingest.messages import ros_types

KIND = "sensor_msgs/msg/JointState"


def joint_state(names):
    """Return the bytes of a message in which each joint stands at its place in the alphabet."""
    store = ros_types(2)
    time = store.types["builtin_interfaces/msg/Time"](0, 0)
    header = store.types["std_msgs/msg/Header"](time, "base")
    values = np.array([float(ord(name)) for name in names])
    message = store.types[KIND](header, [*names], values, values, np.zeros(0))
    return bytes(store.serialize_cdr(message, KIND))


def collect(sources, messages, decode):
    channels = {f"c{at}": {"role": "state", "unit": "1", "source": s} for at, s in sources}
    channels["u"] = {**channels["c0"], "role": "action"}
    task = learning_task("t", 0.01, channels, ingest={"time": ["log_time"]})
    signals = gather(task, messages, decode).log().signals
    return [signals[f"c{at}"] for at, _ in sources]


def gather(task, messages, decode):
    collector = MessageCollector(task)
    for at, data in enumerate(messages):
        collector.add("/t", data, decode, at)
    return collector


def names_in(messages, decode):
    with pytest.raises(Header) as header:
        gather(empty_task().model_copy(update={"channels": {}}), messages, decode).log()
    return header.value.names


@pytest.fixture(scope="module")
def joint_states():
    return decoder(KIND, "ros2msg", ros_types(2).generate_msgdef(KIND, ros_version=2)[0])


def test_joints_in_changing_order_are_matched_by_name(joint_states):
    messages = [joint_state(order) for order in ("abc", "cab", "abc", "bca")]
    sources = ["/t.position[a]", "/t.velocity[c]", "/t.position[1]"]  # 1: b, as in the first one
    signals = collect(list(enumerate(sources)), messages, joint_states)
    assert [signal.values.to_list() for signal in signals] == [[97.0] * 4, [99.0] * 4, [98.0] * 4]


def test_joints_of_two_publishers_have_separate_timestamps(joint_states):
    messages = [joint_state("abc"), joint_state("fg")] * 3
    listed = [f"/t.{field}[{name}]" for name in "abcfg" for field in ("position", "velocity")]
    assert {*listed} < {*names_in(messages, joint_states)}
    arm, hand = collect([(0, "/t.position[c]"), (1, "/t.position[f]")], messages, joint_states)
    assert (arm.time.to_list(), hand.time.to_list()) == ([0, 2, 4], [1, 3, 5])
    assert not arm.values.null_count() + hand.values.null_count()


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ({"servos": [{"name": name, "angle": 1} for name in "ba"]},
         ["servos[b].angle", "servos[a].angle"]),
        ({"joint_names": ["a", "b"], "points": [{"positions": [1, 2]}] * 2},
         [f"points[{at}].positions[{name}]" for at in range(2) for name in "ab"]),
        ({"joint_names": ["a"], "values": [{"interface_names": ["effort"], "values": [1]}]},
         ["values[0].values[effort]"]),
        ({"name": ["1", "2"], "position": [1, 2]}, ["position[0]", "position[1]"]),
        ({"name": ["a", "a"], "position": [1, 2]}, ["position[0]", "position[1]"]),
        ({"names": [["a"], {}], "position": [1, 2]}, ["position[0]", "position[1]"]),
    ],
)  # fmt: skip
def test_names_beside_around_or_inside_elements_name_them(message, names):
    data = json.dumps(message).encode()
    listed = [f"/t.{name}" for name in names]
    assert names_in([data], Decoder(json.loads)) == listed
    assert collect(list(enumerate(listed)), [data], Decoder(json.loads))[0].values[0] == 1.0


def test_names_of_json_messages_are_listed_once_per_shape(monkeypatch):
    """Listing the names of each message takes longer than decoding it."""
    calls = list[object]()
    monkeypatch.setattr(_messages, "field_names", lambda part: calls.append(part) or names(part))
    names = _message_fields.field_names
    orders = ["ab", "ab", "ba", "ab", "cd", "cd"]
    messages = [json.dumps({"names": [*o], "q": [1.0, 2.0]}).encode() for o in orders]
    decode = Decoder(json.loads, shape=_shape)
    assert names_in(messages, decode) == ["/t.q[a]", "/t.q[b]", "/t.q[c]", "/t.q[d]"]
    assert len(calls) == 4
