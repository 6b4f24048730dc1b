"""Messages on topics of MCAP files and ROS bags: each requested field becomes a signal.

A field is named `topic.field.sub[2]`, with the topic as in the log. Timestamps are the times at
which messages were logged, in ns, or a field of the message that `ingest.time` names, such as
`header.stamp`; a topic has one clock.

The publishers of `/tf` take turns, so that an element of its messages is now one frame and now
another. Each frame is a separate topic: `/tf/base_link.transform.translation.x`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
from kinemill.ingest.readers._message_layout import MessageLayout, Number
from kinemill.ingest.readers._message_media import MessageMedia, hold_texts
from kinemill.ingest.readers._ros import Decoder
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
Rows = NDArray[np.int64]


BLOCK = 1 << 22  # bytes of the messages that are decoded at once
MOST_LAYOUTS = 32  # layouts of a topic; messages of further ones are decoded one by one


@dataclass(frozen=True)
class _Columns:
    """Values of n messages: positions in the log (n,), timestamps in ns, and numbers by name."""

    order: Rows
    stamps: dict[str, pl.Series]
    values: dict[str, pl.Series]


@dataclass
class _Topic:
    """Values of one topic: one, or None, for each of its messages; those in columns apart."""

    paths: dict[str, Path]
    clocks: dict[str, Path]
    media: dict[str, Path]
    order: list[int] = field(default_factory=list[int])
    stamps: dict[str, list[int | None]] = field(default_factory=dict[str, list[int | None]])
    values: dict[str, list[float | None]] = field(default_factory=dict[str, list[float | None]])
    columns: list[_Columns] = field(default_factory=list[_Columns])
    broken: list[int] = field(default_factory=list[int])  # positions of undecodable messages

    def take(
        self, message: object, ticks: float
    ) -> tuple[dict[str, int | None], dict[str, float | None]]:
        """Return the timestamps in ns and the numbers of a message, by name."""
        clocks = {n: _stamp(_follow(message, path), ticks) for n, path in self.clocks.items()}
        return clocks, {name: _number(_follow(message, path)) for name, path in self.paths.items()}

    def join(self) -> _Columns:
        """Return all values in the order of the log."""
        order = np.array(self.order, dtype=np.int64)
        stamps = {name: pl.Series(values, dtype=pl.Int64) for name, values in self.stamps.items()}
        values = {name: pl.Series(values, dtype=pl.Float64) for name, values in self.values.items()}
        parts = [_Columns(order, stamps, values), *self.columns]
        order = np.concatenate([part.order for part in parts])
        rank = np.argsort(order, kind="stable")
        return _Columns(
            order[rank],
            {name: pl.concat(part.stamps[name] for part in parts)[rank] for name in stamps},
            {name: pl.concat(part.values[name] for part in parts)[rank] for name in values},
        )


@dataclass(frozen=True)
class _Frame:
    """The part of messages of one layout that belongs to one topic, see `_frames`."""

    topic: _Topic
    node: Any  # of `MessageLayout.tree`

    def columns(
        self, layout: MessageLayout, messages: NDArray[np.uint8], ticks: float
    ) -> tuple[dict[str, pl.Series], dict[str, pl.Series]]:
        """Return the timestamps and the values in messages (n, bytes), (n,) each, by name."""

        def numbers(node: Any) -> NDArray[Any] | list[float | None]:
            if isinstance(node, Number):
                return layout.read(messages, node)
            return [_number(node)] * len(messages)  # a constant of the type, or no number

        def stamps(node: Any) -> list[int | None]:
            if isinstance(node, Number):
                return [_stamp(value, ticks) for value in numbers(node).tolist()]
            seconds = _integer(node, ("sec",))
            if seconds is None:
                return [None] * len(messages)
            fraction = _integer(node, _FRACTIONS)
            rest = [0] * len(messages) if fraction is None else numbers(fraction).tolist()
            whole = numbers(seconds).tolist()
            return [_within(s * NS + ns) for s, ns in zip(whole, rest, strict=True)]

        clocks = {name: stamps(_follow(self.node, at)) for name, at in self.topic.clocks.items()}
        values = {name: numbers(_follow(self.node, at)) for name, at in self.topic.paths.items()}
        return (
            {name: pl.Series(column, dtype=pl.Int64) for name, column in clocks.items()},
            {name: pl.Series(column).cast(pl.Float64) for name, column in values.items()},
        )


@dataclass
class _Batch:
    """Messages of one topic and type that are not decoded yet."""

    decoder: Decoder
    layouts: list[tuple[MessageLayout, list[_Frame]]]
    data: list[bytes] = field(default_factory=list[bytes])
    order: list[int] = field(default_factory=list[int])
    stamps: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    size: int = 0  # bytes


class MessageCollector:
    """The fields that a task requests, collected message by message in the order of the file.

    Args:
        task: task with the channels.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._topics: dict[str, _Topic] = {}
        self._batches: dict[tuple[str, int], _Batch] = {}  # by topic and decoder
        self._wanted: dict[str, bool] = {}
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
        if topic not in self._wanted:
            inside = any(map(_is_in(topic), self._names))
            self._wanted[topic] = inside or self._wants_media(topic)
        return self._wanted[topic]

    def _wants_media(self, topic: str) -> bool:
        return topic in self._media.names or any(map(_is_in(topic), self._media.names))

    def _is_new(self, topic: str) -> bool:
        """Return whether a message of a topic may have names that are not stored yet, see `_show`.

        Later messages may hold other frames.
        """
        return topic not in self._field_names or (self.lists_all and topic in self._with_frames)

    def _show(self, topic: str, message: object) -> None:
        """Store the field names of the first message of a topic, for messages of errors."""
        for frame_topic, part in _frames(topic, message):
            if frame_topic != topic:
                self._with_frames.add(topic)
                self._field_names.setdefault(topic, [])
            if frame_topic not in self._field_names:
                self._field_names[frame_topic] = [f"{frame_topic}.{name}" for name in _fields(part)]

    def add(
        self, topic: str, data: bytes, decoder: Decoder, logged: int, published: int | None = None
    ) -> None:
        """Store the requested fields of one message.

        Args:
            topic: name of the topic in the log.
            data: bytes of the message.
            decoder: their decoder.
            logged: time at which it was logged, ns.
            published: time at which it was published, ns; None: as logged.
        """
        if self._is_new(topic) and (message := decoder.decode_or_none(data)) is not None:
            self._show(topic, message)
        if not self.wants(topic):
            return
        self._count += 1
        published = logged if published is None else published
        if decoder.layout is None:
            self._decode_alone(topic, decoder, data, self._count, (logged, published))
            return
        batch = self._batches.get((topic, id(decoder)))
        if batch is None:
            batch = self._batches[topic, id(decoder)] = _Batch(decoder, [])
        batch.data.append(data)
        batch.size += len(data)
        batch.order.append(self._count)
        batch.stamps.append((logged, published))
        if batch.size >= BLOCK:
            self._decode(topic, batch)

    def _decode(self, topic: str, batch: _Batch) -> None:
        """Decode a batch: messages of equal layout together, others one by one."""
        rest = np.arange(len(batch.data))
        for layout, frames in batch.layouts:
            rest = self._add_columns(batch, layout, frames, rest)
        while len(rest) and len(batch.layouts) < MOST_LAYOUTS:
            found = self._layout(topic, batch.decoder, batch.data[rest[0]])
            if found is None:
                break
            batch.layouts.append(found)
            rest = self._add_columns(batch, *found, rest)
        for at in rest.tolist():
            place = batch.order[at], batch.stamps[at]
            self._decode_alone(topic, batch.decoder, batch.data[at], *place)
        del batch.data[:], batch.order[:], batch.stamps[:]
        batch.size = 0

    def _decode_alone(
        self, topic: str, decoder: Decoder, data: bytes, order: int, stamps: tuple[int, int]
    ) -> None:
        for frame_topic, part in _frames(topic, decoder.decode_or_none(data)):
            self._add(frame_topic, part, order, *stamps)

    def _layout(
        self, topic: str, decoder: Decoder, data: bytes
    ) -> tuple[MessageLayout, list[_Frame]] | None:
        """Return the layout of a message, and its part for each topic; None: decode it alone."""
        message = decoder.decode_or_none(data)
        if message is None or decoder.layout is None or self._wants_media(topic):
            return None
        try:
            layout = decoder.layout(data)
        except KeyError:
            return None
        parts = list(_frames(topic, message))
        nodes = [layout.tree] if parts[0][0] == topic else layout.tree["transforms"]
        topics = [self._topics.get(name) or self._open(name) for name, _ in parts]
        frames = list(map(_Frame, topics, nodes))
        example = np.frombuffer(data, np.uint8)[np.newaxis]
        ticks = self._task.ingest.ticks
        for (_, part), frame in zip(parts, frames, strict=True):
            columns = frame.columns(layout, example, ticks)
            # A check of our positions by the decoder.
            for found, expected in zip(columns, frame.topic.take(part, ticks), strict=True):
                for name, column in found.items():
                    if not column.equals(pl.Series([expected[name]], dtype=column.dtype)):
                        return None
        return layout, frames

    def _add_columns(
        self, batch: _Batch, layout: MessageLayout, frames: list[_Frame], rest: Rows
    ) -> Rows:
        """Store the messages of a batch that have the layout; return the others of `rest`."""
        sized = rest[[len(batch.data[at]) == layout.size for at in rest.tolist()]]
        content = b"".join(batch.data[at] for at in sized.tolist())
        messages = np.frombuffer(content, np.uint8).reshape(len(sized), layout.size)
        fits = layout.matches(messages)
        taken = sized[fits]
        times = [batch.stamps[at] for at in taken.tolist()]
        ends = {
            LOGGED: pl.Series([_within(logged) for logged, _ in times], dtype=pl.Int64),
            PUBLISHED: pl.Series([_within(published) for _, published in times], dtype=pl.Int64),
        }
        order = np.array(batch.order, np.int64)[taken]
        for frame in frames if len(taken) else []:
            clocks, values = frame.columns(layout, messages[fits], self._task.ingest.ticks)
            frame.topic.columns.append(_Columns(order, ends | clocks, values))
        return np.setdiff1d(rest, taken)

    def _add(self, topic: str, message: object, order: int, logged: int, published: int) -> None:
        content = self._topics.get(topic) or self._open(topic)
        if message is None:
            content.broken.append(order)
            return
        content.order.append(order)
        stamps, values = content.take(message, self._task.ingest.ticks)
        stamps |= {LOGGED: _within(logged), PUBLISHED: _within(published)}
        for name, path in content.media.items():
            values[name] = self._media.take(name, _follow(message, path))
        for name, stamp in stamps.items():
            content.stamps[name].append(stamp)
        for name, value in values.items():
            content.values[name].append(value)

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
        topics = self._join_topics()
        by_name = {
            name: topic
            for topic in topics
            for name, values in topics[topic].values.items()
            if values.null_count() < len(values)
        }
        listed = [name for names in self._field_names.values() for name in names]
        columns = match_columns([*dict.fromkeys([*by_name, *listed])], self._task, rate=1.0)
        reasons = list(reasons or [])
        signals: dict[str, Signal] = {}
        clocks: dict[str, pl.Series] = {}
        for channel, source in columns.sources.items():
            topic = by_name.get(source.name)
            if topic is None:
                raise Unreadable(_no_number(channel, source.name))
            if topic not in clocks:
                clocks[topic] = self._clock(topics[topic], channel)
                broken = self._topics[topic].broken
                reasons += _undecoded_reasons(topics[topic].order, broken, channel)
                dropped += len(broken)
            signals[channel] = _signal(topics[topic], source.name, clocks[topic])
        contents = self._media.media(listed)
        for channel, (source, content) in contents.items():
            topic = topics[by_name[source]]
            if isinstance(content, Images):
                signals[channel] = _signal(topic, source, self._clock(topic, channel))
            else:
                base = next(iter(signals.values()))
                signals[channel] = hold_texts(topic.values[source], topic.order, base)
        media = {channel: content for channel, (_, content) in contents.items()}
        return RawLog(
            pl.DataFrame(), columns.sources, NS, dropped, reasons, signals=signals, media=media
        )

    def _join_topics(self) -> dict[str, _Columns]:
        """Return the values of each topic.

        Raises:
            Unreadable: No message of a topic can be decoded.
        """
        for (topic, _), batch in self._batches.items():
            self._decode(topic, batch)
        topics = {name: topic.join() for name, topic in self._topics.items()}
        mute = [
            name for name in topics if self._topics[name].broken and not len(topics[name].order)
        ]
        if mute:
            raise Unreadable(*map(_no_message, mute))
        return topics

    def _clock(self, topic: _Columns, channel: str) -> pl.Series:
        """Return the timestamps of a topic, Int64 ns: its first field in `ingest.time`."""
        names = self._task.ingest.time
        for name in names:
            stamps = topic.stamps.get(name)
            if stamps is not None and stamps.null_count() < len(stamps):
                return stamps
        if names != Ingest().time:
            raise Unreadable(_no_stamp(channel, names))
        return topic.stamps[LOGGED]


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


def _signal(topic: _Columns, name: str, clock: pl.Series) -> Signal:
    """Return the values of a field of a topic as a signal."""
    return Signal(clock, topic.values[name], topic.order)


def _is_in(topic: str) -> Callable[[str], bool]:
    """Return whether a name is that of a field of a topic or of a frame in it."""
    return lambda name: name.startswith((f"{topic}.", f"{topic}/"))


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


def _integer(node: Any, names: tuple[str, ...]) -> Number | None:
    """Return the position of the first integer among named fields of a part of a layout."""
    fields = [node.get(name) for name in names] if isinstance(node, dict) else []
    return next((f for f in fields if isinstance(f, Number) and "float" not in f.kind), None)


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


def _undecoded_reasons(order: Rows, broken: list[int], channel: str) -> list[Reason]:
    """Return a reason for undecodable messages, given the positions of all others in the log."""
    if not broken:
        return []
    rows = np.searchsorted(np.sort([*order, *broken]), broken) + 1
    return [
        reason(
            "message",
            stretches(rows).replace("row", "message"),
            f"{len(broken)} of {len(order) + len(broken)} messages cannot be decoded",
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
