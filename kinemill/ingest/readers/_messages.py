"""Messages on topics of MCAP files and ROS bags: each requested field becomes a signal.

A field is named `topic.field.sub[2]`, with the topic as in the log. Timestamps are the times at
which messages were logged, in ns, or a field of the message that `ingest.time` names, such as
`header.stamp`; a topic has one clock.

The publishers of `/tf` take turns, so that an element of its messages is now one frame and now
another. Each frame is a separate topic: `/tf/base_link.transform.translation.x`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from kinemill.ingest.raw import (
    Images,
    RawLog,
    Reason,
    Signal,
    Unreadable,
    elements,
    match_columns,
    reason,
    stretches,
)
from kinemill.ingest.readers._message_media import MessageMedia, hold_texts
from kinemill.task import Ingest, Source, Task

LOGGED = "log_time"
PUBLISHED = "publish_time"  # names for `ingest.time` that every log has
NS = 1_000_000_000
SHOWN_FIELDS = 500
SHOWN_ELEMENTS = 16  # names kept for errors about missing columns

_TOKEN = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_FRACTIONS = ("nsec", "nanosec", "nsecs")
_INT64 = 2**63

Path = tuple[str | int, ...]


@dataclass
class _Topic:
    """Values of one topic: one, or None, for each of its messages."""

    paths: dict[str, Path]
    clocks: dict[str, Path]
    media: dict[str, Path]
    order: list[int] = field(default_factory=list[int])
    stamps: dict[str, list[int | None]] = field(default_factory=dict[str, list[int | None]])
    values: dict[str, list[float | None]] = field(default_factory=dict[str, list[float | None]])
    broken: list[int] = field(default_factory=list[int])  # positions of undecodable messages


class MessageCollector:
    """The fields that a task requests, collected message by message in the order of the file.

    Args:
        task: task with the channels.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._topics: dict[str, _Topic] = {}
        self._field_names: dict[str, list[str]] = {}
        self._with_frames: set[str] = set()  # topics of transforms
        self._count = 0
        self._media = MessageMedia(task)
        self._names = [
            source.name
            for channel in task.logged_numbers
            for source in task.channels[channel].source or [Source(name=channel)]
        ]

    @property
    def lists_all(self) -> bool:
        """Whether only the names of all fields are requested."""
        return not self._task.channels

    def wants(self, topic: str) -> bool:
        """Return whether a requested name may be a field of a topic or a frame, or the topic."""
        fields = (f"{topic}.", f"{topic}/")
        inside = any(name.startswith(fields) for name in [*self._names, *self._media.names])
        return inside or topic in self._media.names

    def is_new(self, topic: str) -> bool:
        """Return whether a message of a topic may have names that are not stored yet, see `show`.

        Later messages may hold other frames.
        """
        return topic not in self._field_names or (self.lists_all and topic in self._with_frames)

    def show(self, topic: str, message: object) -> None:
        """Store the field names of the first message of a topic, for messages of errors."""
        for frame_topic, part in _frames(topic, message):
            if frame_topic != topic:
                self._with_frames.add(topic)
                self._field_names.setdefault(topic, [])
            if frame_topic not in self._field_names:
                self._field_names[frame_topic] = [f"{frame_topic}.{name}" for name in _fields(part)]

    def add(self, topic: str, message: object, logged: int, published: int | None = None) -> None:
        """Store the requested fields of one message.

        Args:
            topic: name of the topic in the log.
            message: a JSON value or a ROS message; None if it could not be decoded.
            logged: time at which it was logged, ns.
            published: time at which it was published, ns; None: as logged.
        """
        self._count += 1
        for frame_topic, part in _frames(topic, message):
            self._add(frame_topic, part, logged, published)

    def _add(self, topic: str, message: object, logged: int, published: int | None) -> None:
        content = self._topics.get(topic) or self._open(topic)
        if message is None:
            content.broken.append(len(content.order) + len(content.broken) + 1)
            return
        content.order.append(self._count)
        content.stamps[LOGGED].append(_within(logged))
        content.stamps[PUBLISHED].append(_within(logged if published is None else published))
        for name, path in content.clocks.items():
            content.stamps[name].append(_stamp(_follow(message, path), self._task.ingest.ticks))
        for name, path in content.paths.items():
            content.values[name].append(_number(_follow(message, path)))
        for name, path in content.media.items():
            content.values[name].append(self._media.take(name, _follow(message, path)))

    def _open(self, topic: str) -> _Topic:
        names = [name for name in self._names if name.startswith(f"{topic}.")]
        prefix = f"{topic}."
        times = {name: name.removeprefix(prefix) for name in self._task.ingest.time}
        clocks = {
            name: _path(inside) for name, inside in times.items() if name not in {LOGGED, PUBLISHED}
        }
        media = {name: () for name in self._media.names if name == topic}
        media |= {
            n: _path(n.removeprefix(prefix)) for n in self._media.names if n.startswith(prefix)
        }
        opened = _Topic({name: _path(name.removeprefix(prefix)) for name in names}, clocks, media)
        opened.stamps = {name: [] for name in (LOGGED, PUBLISHED, *clocks)}
        opened.values = {name: [] for name in [*opened.paths, *opened.media]}
        self._topics[topic] = opened
        return opened

    def log(self, dropped: int = 0, reasons: list[Reason] | None = None) -> RawLog:
        """Return the collected log.

        Args:
            dropped: number of lost messages.
            reasons: why they were lost.

        Returns:
            A signal for each channel, with timestamps in ns and values in the unit of the log.

        Raises:
            Header: The task has no channels.
            Unreadable: A channel, or the timestamp that the task names, is in no message.
        """
        mute = [name for name, topic in self._topics.items() if topic.broken and not topic.order]
        if mute:
            raise Unreadable(*map(_no_message, mute))
        by_name = {
            name: topic
            for topic in self._topics.values()
            for name, values in topic.values.items()
            if any(value is not None for value in values)
        }
        listed = [name for names in self._field_names.values() for name in names]
        columns = match_columns([*dict.fromkeys([*by_name, *listed])], self._task, rate=1.0)
        reasons = list(reasons or [])
        signals: dict[str, Signal] = {}
        clocks: dict[int, pl.Series] = {}
        for channel, source in columns.sources.items():
            topic = by_name.get(source.name)
            if topic is None:
                raise Unreadable(_no_number(channel, source.name))
            if id(topic) not in clocks:
                clocks[id(topic)] = self._clock(topic, channel)
                reasons += _undecoded_reasons(topic, channel)
                dropped += len(topic.broken)
            signals[channel] = _signal(topic, source.name, clocks[id(topic)])
        contents = self._media.media(listed)
        for channel, (source, content) in contents.items():
            topic = by_name[source]
            if isinstance(content, Images):
                signals[channel] = _signal(topic, source, self._clock(topic, channel))
            else:
                base = next(iter(signals.values()))
                signals[channel] = hold_texts(pl.Series(topic.values[source]), topic.order, base)
        media = {channel: content for channel, (_, content) in contents.items()}
        return RawLog(
            pl.DataFrame(), columns.sources, NS, dropped, reasons, signals=signals, media=media
        )

    def _clock(self, topic: _Topic, channel: str) -> pl.Series:
        """Return the timestamps of a topic, Int64 ns: its first field in `ingest.time`."""
        names = self._task.ingest.time
        for name in names:
            stamps = topic.stamps.get(name, [])
            if any(stamp is not None for stamp in stamps):
                return pl.Series(stamps, dtype=pl.Int64)
        if names != Ingest().time:
            raise Unreadable(_no_stamp(channel, names))
        return pl.Series(topic.stamps[LOGGED], dtype=pl.Int64)


def _frames(topic: str, message: object) -> Iterator[tuple[str, object]]:
    """Yield the transforms of a message by frame, or the message itself if it is of another type.

    A frame is named as in ROS 2, without the leading slash of ROS 1.
    """
    transforms = _follow(message, ("transforms",))
    frames = [
        _follow(transform, ("child_frame_id",))
        for transform in (transforms if isinstance(transforms, list | tuple) else [])
    ]
    if not frames or not all(isinstance(frame, str) and frame for frame in frames):
        yield topic, message
        return
    for frame, transform in zip(frames, transforms, strict=True):
        yield f"{topic}/{frame.strip('/')}", transform


def _signal(topic: _Topic, name: str, clock: pl.Series) -> Signal:
    """Return the values of a field of a topic as a signal."""
    values = pl.Series(topic.values[name], dtype=pl.Float64)
    return Signal(clock, values, np.array(topic.order, dtype=np.int64))


def _path(name: str) -> Path:
    """Split `field.sub[2]` into ("field", "sub", 2)."""
    return tuple(key or int(index) for key, index in _TOKEN.findall(name))


def _follow(message: Any, path: Path) -> Any:
    """Return the value at a path in a message, or None."""
    for key in path:
        if isinstance(key, int):
            listed = isinstance(message, list | tuple | np.ndarray)
            message = message[key] if listed and key < len(message) else None
        elif isinstance(message, Mapping):
            message = message.get(key)
        else:
            there = key in getattr(message, "__dataclass_fields__", ())
            message = getattr(message, key) if there else None
    return message


def _number(value: object) -> float | None:
    """Return a value as a number, None if it is none; an integer beyond float64 is infinite."""
    if not isinstance(value, int | float | np.number | np.bool_):
        return None
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def _stamp(value: object, ticks: float) -> int | None:
    """Return a timestamp in ns, from seconds and a fraction, or from a number in ticks."""
    seconds = _follow(value, ("sec",)) if value is not None else None
    if isinstance(seconds, int | np.integer):
        parts = [_follow(value, (name,)) for name in _FRACTIONS]
        fraction = next((part for part in parts if isinstance(part, int | np.integer)), 0)
        return _within(int(seconds) * NS + int(fraction))
    number = _number(value)
    if number is None or not np.isfinite(number):
        return None
    if ticks == NS and isinstance(value, int | np.integer):
        return _within(int(value))
    return _within(round(number * (NS / ticks)))


def _within(stamp: int) -> int | None:
    return stamp if -_INT64 <= stamp < _INT64 else None


def _fields(message: object) -> list[str]:
    """Return the names of the numbers in a message, the first few of each array."""
    names: list[str] = []
    for name in _names(message, ""):
        names.append(name)
        if len(names) == SHOWN_FIELDS:
            break
    return names


def _names(value: object, name: str) -> Iterator[str]:
    if _number(value) is not None:
        yield name
    elif isinstance(value, list | tuple | np.ndarray):
        for element, inner in zip(elements(name, SHOWN_ELEMENTS), value, strict=False):
            yield from _names(inner, element)
    else:
        fields = getattr(value, "__dataclass_fields__", ())
        inside = (
            value if isinstance(value, Mapping) else {key: getattr(value, key) for key in fields}
        )
        for key, inner in inside.items():
            if not key.startswith("__"):
                yield from _names(inner, f"{name}.{key}" if name else key)


def _undecoded_reasons(topic: _Topic, channel: str) -> list[Reason]:
    if not topic.broken:
        return []
    rows = np.array(topic.broken, dtype=np.int64)
    return [
        reason(
            "message",
            stretches(rows).replace("row", "message"),
            f"{len(rows)} of {len(topic.order) + len(rows)} messages cannot be decoded",
            channel=channel,
            expected="messages as declared in the topic's schema",
            fix="nothing to do: these messages are left out",
        )
    ]


def _no_message(topic: str) -> Reason:
    return reason(
        "encoding",
        f"topic {topic}",
        "none of its messages can be decoded",
        expected="messages as declared in the topic's schema",
        fix="check with the program that wrote the log, or name fields of another topic",
    )


def _no_number(channel: str, name: str) -> Reason:
    return reason(
        "number",
        "every message",
        f"the field {name!r} holds no number",
        channel=channel,
        expected="a number, or an element of an array by its index, as in `topic.field[0]`",
        fix=f"name the field at `channels.{channel}.source`",
    )


def _no_stamp(channel: str, names: list[str]) -> Reason:
    return reason(
        "columns",
        "every message",
        f"its topic has no stamp {' or '.join(map(repr, names))}",
        channel=channel,
        expected=f"a field of its messages, {LOGGED} or {PUBLISHED}",
        fix=f"name one at `ingest.time`, or add {LOGGED} to the list",
    )
