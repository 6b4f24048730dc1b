"""Messages on topics of MCAP files and ROS bags: each requested field becomes a signal.

A field is named `topic.field.sub[2]`, with the topic as in the log. Timestamps are the times at
which messages were logged, in ns, or a field of the message that `ingest.time` names, such as
`header.stamp`; a topic has one clock.

The publishers of `/tf` take turns, so that an element of its messages is now one frame and now
another. Each frame is a separate topic: `/tf/base_link.transform.translation.x`.

Elements that a message names are matched by name: `/joint_states.position[elbow]`. An index means
the element with the name that it has in the first message.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.ingest.raw import (
    Images,
    RawLog,
    Reason,
    Signal,
    Unreadable,
    match_columns,
    reason,
    stretches,
)
from kinemill.ingest.readers._message_fields import (
    Fields,
    Path,
    element,
    field_names,
    follow,
    has_label,
    name_indices,
    parse_path,
    to_number,
)
from kinemill.ingest.readers._message_layout import MessageLayout, Number
from kinemill.ingest.readers._message_media import MessageMedia, hold_texts
from kinemill.ingest.readers._ros import Decoder
from kinemill.task import Ingest, Source, Task

LOGGED = "log_time"
PUBLISHED = "publish_time"  # names for `ingest.time` that every log has
HEADER = "header.stamp"  # of ROS messages
NS = 1_000_000_000
PACES = (0.8, 1.25)  # of a timestamp that counts the seconds of the log
PACE_FEWEST = 10  # messages for a comparison
_FRACTIONS = ("nsec", "nanosec", "nsecs")
_INT64 = 2**63

BLOCK = 1 << 20  # bytes of the messages that are decoded at once
MOST_LAYOUTS = 32  # layouts of a topic; messages of further ones are decoded one by one
_ORDER = "@"  # column with the positions of messages in the log
_CLOCK = "@{}"  # columns of timestamps, ns


class _Message(NamedTuple):
    """A message that is not decoded yet: its position in the log, and its times in ns."""

    data: bytes
    order: int
    logged: int
    published: int


@dataclass
class _Topic:
    """Values of one topic: rows of single messages, and frames of many."""

    paths: dict[str, Path]
    clocks: dict[str, Path]
    media: dict[str, Path]
    rows: list[list[float | None]] = field(default_factory=list[list[float | None]])
    frames: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])
    broken: list[int] = field(default_factory=list[int])  # positions of undecodable messages

    @cached_property
    def fields(self) -> Fields:
        """The timestamps and the numbers."""
        return Fields.of([*self.clocks.values(), *self.paths.values()])

    @property
    def schema(self) -> dict[str, type[pl.DataType]]:
        """Types of the columns: position, timestamps, numbers, images and texts."""
        clocks = map(_CLOCK.format, (LOGGED, PUBLISHED, *self.clocks))
        integers: dict[str, type[pl.DataType]] = dict.fromkeys([_ORDER, *clocks], pl.Int64)
        return integers | dict.fromkeys([*self.paths, *self.media], pl.Float64)

    def take(self, message: object, ticks: float) -> list[float | None]:
        """Return the timestamps in ns and the numbers of a message."""
        count = len(self.clocks)
        values = self.fields.read(message, count + len(self.paths))
        stamps = [_stamp(value, ticks) for value in values[:count]]
        return [*stamps, *map(to_number, values[count:])]

    def join(self) -> pl.DataFrame:
        """Return all values in the order of the log."""
        single = pl.DataFrame(self.rows, schema=self.schema, orient="row")
        return pl.concat([single, *self.frames]).sort(_ORDER, maintain_order=True)


@dataclass(frozen=True)
class _Frame:
    """The part of messages of one layout that belongs to one topic, see `_frames`."""

    topic: _Topic
    node: Any  # of `MessageLayout.tree`

    def take(
        self, layout: MessageLayout, messages: NDArray[np.uint8], ticks: float
    ) -> list[list[Any] | NDArray[np.float64]]:
        """Return the columns of `_Topic.take` for messages (n, bytes), (n,) each."""

        def numbers(path: Path) -> list[Any] | NDArray[np.float64]:
            node = follow(self.node, path)
            if isinstance(node, Number):
                return layout.read(messages, node).astype(np.float64)
            return [to_number(node)] * len(messages)  # a constant of the type, or no number

        def stamps(path: Path) -> list[int | None]:
            node = follow(self.node, path)
            if isinstance(node, Number):
                return [_stamp(value, ticks) for value in layout.read(messages, node).tolist()]
            parts = [_integer(node, names) for names in (("sec",), _FRACTIONS)]
            if parts[0] is None:
                return [None] * len(messages)
            columns = [layout.read(messages, part).tolist() for part in parts if part is not None]
            return [_within(row[0] * NS + sum(row[1:])) for row in zip(*columns, strict=True)]

        clocks = map(stamps, self.topic.clocks.values())
        return [*clocks, *map(numbers, self.topic.paths.values())]


@dataclass
class _Batch:
    """Messages of one topic and type that are not decoded yet, and the layouts of earlier ones."""

    decoder: Decoder
    layouts: list[tuple[MessageLayout, list[_Frame]]]
    messages: list[_Message] = field(default_factory=list[_Message])
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
        self._is_wanted: dict[str, bool] = {}
        self._field_names: dict[str, list[str]] = {}
        self._first: dict[str, object] = {}  # message of each topic and frame
        # Layouts that were listed, of topics whose messages may hold other names.
        self._listed: dict[str, list[MessageLayout]] = {}
        self._shapes: dict[str, set[Hashable]] = {}  # of listed messages without a layout
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
        if topic not in self._is_wanted:
            inside = any(map(_is_in(topic), self._names))
            self._is_wanted[topic] = inside or self._wants_media(topic)
        return self._is_wanted[topic]

    def _wants_media(self, topic: str) -> bool:
        return topic in self._media.names or any(map(_is_in(topic), self._media.names))

    def _is_new(self, topic: str, data: bytes, decoder: Decoder) -> bool:
        """Return whether a message may have names that are not stored yet, see `_show`.

        Later messages may hold other frames, or elements of other names.
        """
        if topic not in self._first:
            return True
        if not self.lists_all or topic not in self._listed:
            return False
        if decoder.shape is not None:
            shape = decoder.shape(data)
            shapes = self._shapes.setdefault(topic, set())
            is_new = shape is None or shape not in shapes
            if len(shapes) < MOST_LAYOUTS:
                shapes.add(shape)
            return is_new
        message = np.frombuffer(data, np.uint8)[np.newaxis]
        return not any(
            layout.size == len(data) and layout.matches(message)[0]
            for layout in self._listed[topic]
        )

    def _show(self, topic: str, message: object, data: bytes, decoder: Decoder) -> None:
        """Store the field names of a message, and those of its frames."""
        self._first.setdefault(topic, message)
        for frame_topic, part in _frames(topic, message):
            self._first.setdefault(frame_topic, part)
            fields = field_names(part)
            earlier = self._field_names.get(frame_topic, [])
            names = [*earlier, *(f"{frame_topic}.{name}" for name in fields)]
            self._field_names[frame_topic] = list(dict.fromkeys(names))
            if frame_topic != topic or any(map(has_label, map(parse_path, fields))):
                self._listed.setdefault(topic, [])
        if topic in self._listed and decoder.layout and len(self._listed[topic]) < MOST_LAYOUTS:
            with suppress(KeyError):
                self._listed[topic].append(decoder.layout(data))

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
        if (
            self._is_new(topic, data, decoder)
            and (message := decoder.decode_or_none(data)) is not None
        ):
            self._show(topic, message, data, decoder)
        if not self.wants(topic):
            return
        self._count += 1
        message = _Message(data, self._count, logged, logged if published is None else published)
        if decoder.layout is None:
            self._decode_alone(topic, decoder, message)
            return
        batch = self._batches.get((topic, id(decoder)))
        if batch is None:
            batch = self._batches[topic, id(decoder)] = _Batch(decoder, [])
        batch.messages.append(message)
        batch.size += len(data)
        if batch.size >= BLOCK:
            self._decode(topic, batch)

    def _decode(self, topic: str, batch: _Batch) -> None:
        """Decode a batch: messages of equal layout together, others one by one."""
        rest = batch.messages
        for layout, frames in batch.layouts:
            rest = self._add_columns(layout, frames, rest)
        while rest and len(batch.layouts) < MOST_LAYOUTS:
            layout = self._layout(topic, batch.decoder, rest[0].data)
            if layout is None:
                break
            batch.layouts.append(layout)
            rest = self._add_columns(*layout, rest)
        for message in rest:
            self._decode_alone(topic, batch.decoder, message)
        batch.messages = []
        batch.size = 0

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
            # A check of our positions by the decoder.
            values = [column[0] for column in frame.take(layout, example, ticks)]
            expected = np.array(frame.topic.take(part, ticks), np.float64)
            if not np.array_equal(np.array(values, np.float64), expected, equal_nan=True):
                return None
        return layout, frames

    def _add_columns(
        self, layout: MessageLayout, frames: list[_Frame], messages: list[_Message]
    ) -> list[_Message]:
        """Store the messages that have a layout; return the others."""
        sized = [message for message in messages if len(message.data) == layout.size]
        content = b"".join(message.data for message in sized)
        block = np.frombuffer(content, np.uint8).reshape(len(sized), layout.size)
        fits = layout.matches(block)
        matching = list(compress(sized, fits.tolist()))
        order = [message.order for message in matching]
        logged = [_within(message.logged) for message in matching]
        published = [_within(message.published) for message in matching]
        for frame in frames if matching else []:
            columns = frame.take(layout, block[fits], self._task.ingest.ticks)
            schema = frame.topic.schema
            frame.topic.frames.append(pl.DataFrame([order, logged, published, *columns], schema))
        orders = set(order)
        return [message for message in messages if message.order not in orders]

    def _decode_alone(self, topic: str, decoder: Decoder, message: _Message) -> None:
        for frame_topic, part in _frames(topic, decoder.decode_or_none(message.data)):
            content = self._topics.get(frame_topic) or self._open(frame_topic)
            if part is None:
                content.broken.append(message.order)
                continue
            head = [message.order, _within(message.logged), _within(message.published)]
            values = content.take(part, self._task.ingest.ticks)
            media = [self._media.take(n, follow(part, path)) for n, path in content.media.items()]
            content.rows.append([*head, *values, *media])

    def _open(self, topic: str) -> _Topic:
        names = [name for name in self._names if name.startswith(f"{topic}.")]
        prefix = f"{topic}."
        compared = [HEADER] if self._is_default_clock else []
        times = {name: name.removeprefix(prefix) for name in [*self._task.ingest.time, *compared]}
        clocks = {
            name: parse_path(inside)
            for name, inside in times.items()
            if name not in {LOGGED, PUBLISHED}
        }
        media = {name: () for name in self._media.names if name == topic}
        media |= {
            n: parse_path(n.removeprefix(prefix)) for n in self._media.names if n.startswith(prefix)
        }
        first = self._first.get(topic)
        paths = {name: name_indices(first, parse_path(name.removeprefix(prefix))) for name in names}
        opened = _Topic(paths, clocks, media)
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
            for name in [*self._topics[topic].paths, *self._topics[topic].media]
            if topics[topic][name].count()
        }
        listed = [name for names in self._field_names.values() for name in names]
        columns = match_columns([*dict.fromkeys([*by_name, *listed])], self._task, rate=1.0)
        reasons = list(reasons or [])
        signals: dict[str, Signal] = {}
        clocks: dict[tuple[str, bytes], tuple[pl.DataFrame, pl.Series]] = {}
        for channel, source in columns.sources.items():
            topic = by_name.get(source.name)
            if topic is None:
                raise Unreadable(_no_number(channel, source.name))
            # Other publishers send elements of other names.
            is_named = has_label(self._topics[topic].paths[source.name])
            rows = topics[topic][source.name].is_not_null() | (not is_named)
            key = topic, rows.to_numpy().tobytes()
            if topic not in {name for name, _ in clocks}:
                broken = self._topics[topic].broken
                reasons += _undecoded_reasons(topics[topic], broken, channel)
                reasons += self._pace_reasons(topics[topic], channel)
                dropped += len(broken)
            if key not in clocks:
                messages = topics[topic] if rows.all() else topics[topic].filter(rows)
                clocks[key] = messages, self._clock(messages, channel)
            signals[channel] = _signal(clocks[key][0], source.name, clocks[key][1])
        contents = self._media.media(listed)
        for channel, (source, content) in contents.items():
            topic = topics[by_name[source]]
            if isinstance(content, Images):
                signals[channel] = _signal(topic, source, self._clock(topic, channel))
            else:
                base = next(iter(signals.values()))
                signals[channel] = hold_texts(topic[source], topic[_ORDER].to_list(), base)
        media = {channel: content for channel, (_, content) in contents.items()}
        return RawLog(
            pl.DataFrame(), columns.sources, NS, dropped, reasons, signals=signals, media=media
        )

    def _join_topics(self) -> dict[str, pl.DataFrame]:
        """Return the values of each topic.

        Raises:
            Unreadable: No message of a topic can be decoded.
        """
        for (topic, _), batch in self._batches.items():
            self._decode(topic, batch)
        topics = {name: topic.join() for name, topic in self._topics.items()}
        broken = [name for name, topic in self._topics.items() if topic.broken]
        if mute := [name for name in broken if topics[name].is_empty()]:
            raise Unreadable(*map(_no_message, mute))
        return topics

    def _pace_reasons(self, topic: pl.DataFrame, channel: str) -> list[Reason]:
        """Return a reason for a timestamp of the messages that the log's own times contradict."""
        names = [*self._task.ingest.time, HEADER] if self._is_default_clock else []
        odd = [n for n in names if _CLOCK.format(n) in topic.columns and not _is_paced(topic, n)]
        return [_odd_pace(channel, odd[0], _pace(topic, odd[0]))] if odd else []

    @property
    def _is_default_clock(self) -> bool:
        return self._task.ingest.time == Ingest().time

    def _clock(self, topic: pl.DataFrame, channel: str) -> pl.Series:
        """Return the timestamps of a topic, Int64 ns: its first field in `ingest.time`.

        A field that only the default names has to count the seconds of the log.
        """
        names = self._task.ingest.time
        for name in names:
            column = _CLOCK.format(name)
            if column in topic.columns and topic[column].count():
                if self._is_default_clock and not _is_paced(topic, name):
                    continue
                return topic[column]
        if not self._is_default_clock:
            raise Unreadable(_no_stamp(channel, names))
        return topic[_CLOCK.format(LOGGED)]


def _frames(topic: str, message: object) -> Iterator[tuple[str, object]]:
    """Yield the transforms of a message by frame, or the message itself if it is of another type.

    A frame is named as in ROS 2, without the leading slash of ROS 1.
    """
    transforms = element(message, "transforms")
    frames = [
        element(transform, "child_frame_id")
        for transform in (transforms if isinstance(transforms, list | tuple) else [])
    ]
    if not frames or not all(isinstance(frame, str) and frame for frame in frames):
        yield topic, message
        return
    for frame, transform in zip(frames, transforms, strict=True):
        yield f"{topic}/{frame.strip('/')}", transform


def _signal(topic: pl.DataFrame, name: str, clock: pl.Series) -> Signal:
    """Return the values of a field of a topic as a signal."""
    return Signal(clock, topic[name], topic[_ORDER].to_numpy())


def _is_in(topic: str) -> Callable[[str], bool]:
    """Return whether a name is that of a field of a topic or of a frame in it."""
    return lambda name: name.startswith((f"{topic}.", f"{topic}/"))


def _integer(node: Any, names: tuple[str, ...]) -> Number | None:
    """Return the position of the first integer among named fields of a part of a layout."""
    fields = [node.get(name) for name in names] if isinstance(node, dict) else []
    return next((f for f in fields if isinstance(f, Number) and "float" not in f.kind), None)


def _stamp(value: object, ticks: float) -> int | None:
    """Return a timestamp in ns, from seconds and a fraction, or from a number in ticks."""
    seconds = element(value, "sec") if value is not None else None
    if isinstance(seconds, int | np.integer):
        parts = [element(value, name) for name in _FRACTIONS]
        fraction = next((part for part in parts if isinstance(part, int | np.integer)), 0)
        return _within(int(seconds) * NS + int(fraction))
    number = to_number(value)
    if number is None or not np.isfinite(number):
        return None
    if ticks == NS and isinstance(value, int | np.integer):
        return _within(int(value))
    return _within(round(number * (NS / ticks)))


def _within(stamp: int) -> int | None:
    return stamp if -_INT64 <= stamp < _INT64 else None


def _pace(topic: pl.DataFrame, name: str) -> float:
    """Return the seconds of a timestamp in one second of the log; 1 if that is unclear."""
    stamps = topic.select(_CLOCK.format(name), _CLOCK.format(LOGGED)).drop_nulls()
    steps = np.diff(stamps.to_numpy().astype(np.float64), axis=0)
    stamped, logged = steps[(steps >= 0.0).all(axis=1)].sum(axis=0)
    is_clear = len(steps) >= PACE_FEWEST and stamped > 0.0 and logged > NS
    return float(stamped / logged) if is_clear else 1.0


def _is_paced(topic: pl.DataFrame, name: str) -> bool:
    return PACES[0] < _pace(topic, name) < PACES[1]


def _undecoded_reasons(topic: pl.DataFrame, broken: list[int], channel: str) -> list[Reason]:
    """Return a reason for undecodable messages, given their positions in the log."""
    if not broken:
        return []
    rows = np.searchsorted(np.sort([*topic[_ORDER], *broken]), broken) + 1
    return [
        reason(
            "message",
            stretches(rows).replace("row", "message"),
            f"{len(broken)} of {topic.height + len(broken)} messages cannot be decoded",
            channel=channel,
            expected="messages as declared in the topic's schema",
            fix="nothing to do: these messages are left out",
        )
    ]


def _odd_pace(channel: str, name: str, pace: float) -> Reason:
    return reason(
        "pace",
        "every message",
        f"{name!r} rises by {pace:.3g} s in each second of the log, whose times are used",
        channel=channel,
        expected="1 s, unless it has another unit, or the robot was simulated or played back",
        fix=f"name it at `ingest.time`, with its `ingest.time_unit`, if the motion follows it: "
        f"{name}; else nothing to do",
    )


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
        expected="a number, or an element of an array by its index or name, as in `topic.field[0]`",
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
