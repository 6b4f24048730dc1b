"""Messages on topics of MCAP files and ROS bags: each requested field becomes a signal.

A field is named `topic.field.sub[2]`, with the topic as in the log. Timestamps are the times at
which messages were logged, in ns, or a field of the message that `ingest.time` names, such as
`header.stamp`; a topic has one clock.

The publishers of `/tf` take turns, so that an element of its messages is now one frame and now
another. Each frame is a separate topic: `/tf/base_link.transform.translation.x`.

Elements that a message names are matched by name: `/joint_states.position[elbow]`. An index means
the element with the name that it has in the first message.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import compress
from typing import Any, NamedTuple, cast

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
from kinemill.ingest.readers._message_layout import MessageLayout, Number
from kinemill.ingest.readers._message_media import MessageMedia, hold_texts
from kinemill.ingest.readers._ros import Decoder
from kinemill.task import Ingest, Source, Task

LOGGED = "log_time"
PUBLISHED = "publish_time"  # names for `ingest.time` that every log has
NS = 1_000_000_000
SHOWN_FIELDS = 500
SHOWN_ELEMENTS = 16  # names kept for errors about missing columns

_NAMES = ("name", "names")  # last part of fields such as `joint_names`
_TOKEN = re.compile(r"\.?([^.\[\]]+)|\[([^\[\]]+)\]")
_FRACTIONS = ("nsec", "nanosec", "nsecs")
_INT64 = 2**63

Path = tuple[str | int, ...]

BLOCK = 1 << 20  # bytes of the messages that are decoded at once
MOST_LAYOUTS = 32  # layouts of a topic; messages of further ones are decoded one by one
_ORDER = "@"  # column with the positions of messages in the log
_CLOCK = "@{}"  # columns of timestamps, ns


class _Label(str):
    """The name of an element: `elbow` in `position[elbow]`."""

    __slots__ = ()


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

    @property
    def schema(self) -> dict[str, type[pl.DataType]]:
        """Types of the columns: position, timestamps, numbers, images and texts."""
        clocks = map(_CLOCK.format, (LOGGED, PUBLISHED, *self.clocks))
        integers: dict[str, type[pl.DataType]] = dict.fromkeys([_ORDER, *clocks], pl.Int64)
        return integers | dict.fromkeys([*self.paths, *self.media], pl.Float64)

    def take(self, message: object, ticks: float) -> list[float | None]:
        """Return the timestamps in ns and the numbers of a message."""
        stamps = [_stamp(_follow(message, path), ticks) for path in self.clocks.values()]
        return [*stamps, *(_number(_follow(message, path)) for path in self.paths.values())]

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
            node = _follow(self.node, path)
            if isinstance(node, Number):
                return layout.read(messages, node).astype(np.float64)
            return [_number(node)] * len(messages)  # a constant of the type, or no number

        def stamps(path: Path) -> list[int | None]:
            node = _follow(self.node, path)
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

    def _is_new(self, topic: str, data: bytes) -> bool:
        """Return whether a message may have names that are not stored yet, see `_show`.

        Later messages may hold other frames, or elements of other names.
        """
        if topic not in self._first:
            return True
        if not self.lists_all or topic not in self._listed:
            return False
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
            fields = _fields(part)
            earlier = self._field_names.get(frame_topic, [])
            names = [*earlier, *(f"{frame_topic}.{name}" for name in fields)]
            self._field_names[frame_topic] = list(dict.fromkeys(names))
            if frame_topic != topic or any(map(_has_label, map(_path, fields))):
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
        if self._is_new(topic, data) and (message := decoder.decode_or_none(data)) is not None:
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
            media = [self._media.take(n, _follow(part, path)) for n, path in content.media.items()]
            content.rows.append([*head, *values, *media])

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
        first = self._first.get(topic)
        paths = {name: _by_label(first, _path(name.removeprefix(prefix))) for name in names}
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
            is_named = _has_label(self._topics[topic].paths[source.name])
            rows = topics[topic][source.name].is_not_null() | (not is_named)
            key = topic, rows.to_numpy().tobytes()
            if topic not in {name for name, _ in clocks}:
                broken = self._topics[topic].broken
                reasons += _undecoded_reasons(topics[topic], broken, channel)
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

    def _clock(self, topic: pl.DataFrame, channel: str) -> pl.Series:
        """Return the timestamps of a topic, Int64 ns: its first field in `ingest.time`."""
        names = self._task.ingest.time
        for name in names:
            column = _CLOCK.format(name)
            if column in topic.columns and topic[column].count():
                return topic[column]
        if names != Ingest().time:
            raise Unreadable(_no_stamp(channel, names))
        return topic[_CLOCK.format(LOGGED)]


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


def _signal(topic: pl.DataFrame, name: str, clock: pl.Series) -> Signal:
    """Return the values of a field of a topic as a signal."""
    return Signal(clock, topic[name], topic[_ORDER].to_numpy())


def _is_in(topic: str) -> Callable[[str], bool]:
    """Return whether a name is that of a field of a topic or of a frame in it."""
    return lambda name: name.startswith((f"{topic}.", f"{topic}/"))


def _path(name: str) -> Path:
    """Split `field.sub[2]` into ("field", "sub", 2); the name of an element is a label."""
    return tuple(
        key or (int(element) if element.isdecimal() else _Label(element))
        for key, element in _TOKEN.findall(name)
    )


def _has_label(path: Path) -> bool:
    return any(isinstance(key, _Label) for key in path)


def _by_label(message: object, path: Path) -> Path:
    """Return a path with the indices of elements that a message names replaced by their names."""
    named = list[str | int]()
    for at, key in enumerate(path):
        *around, listed = [_follow(message, path[:depth]) for depth in range(at + 1)]
        labels = [*_labels(listed, around)] if isinstance(key, int) else []
        named.append(labels[key] if isinstance(key, int) and key < len(labels) else key)
    return tuple(named)


def _labels(listed: Any, around: Sequence[object]) -> Mapping[str, int]:
    """Return the positions of the elements of a list in a message by name; empty without names.

    Structs have a `name` each. Other elements are named by as many texts, as `joint_names`, in the
    closest of the structs around them.
    """
    if not isinstance(listed, list | tuple | np.ndarray) or not len(listed):
        return {}
    if _number(listed[0]) is None:
        inside = _members(listed[0])
        if "name" in inside:
            return _positions(tuple(str(_follow(struct, ("name",))) for struct in listed))
        # The points of a trajectory are no joints, but the numbers in each point are.
        if any(_is_as_long(inner, listed) for inner in inside.values()):
            return {}
    texts = (
        texts
        for struct in reversed(around)
        for key, texts in _members(struct).items()
        if key.endswith(_NAMES) and _is_as_long(texts, listed) and texts is not listed
    )
    return _positions(tuple(map(str, next(texts, ()))))


def _is_as_long(value: object, listed: Sized) -> bool:
    return isinstance(value, list | tuple | np.ndarray) and len(value) == len(listed)


@lru_cache
def _positions(texts: tuple[str, ...]) -> Mapping[str, int]:
    """Return the positions of texts that name elements; empty if one is no name, or repeats."""
    labels: dict[str, int] = {
        _Label(text): at
        for at, text in enumerate(texts)
        if not text.isdecimal() and _TOKEN.fullmatch(f"[{text}]")
    }
    return labels if len(labels) == len(texts) else {}


def _members(value: object) -> Mapping[str, Any]:
    """Return the fields of a part of a message; empty if it is no struct."""
    if isinstance(value, Mapping):
        return cast(Mapping[str, Any], value)
    return {key: getattr(value, key) for key in getattr(value, "__dataclass_fields__", ())}


def _follow(message: Any, path: Path) -> Any:
    """Return the value at a path in a message, or None."""
    around = list[object]()
    for key in path:
        at = key
        if isinstance(key, _Label):
            at = _labels(message, around).get(key, -1)
        around.append(message)
        if isinstance(at, int):
            listed = isinstance(message, list | tuple | np.ndarray)
            message = message[at] if listed and 0 <= at < len(message) else None
        elif isinstance(message, Mapping):
            message = message.get(at)
        else:
            there = at in getattr(message, "__dataclass_fields__", ())
            message = getattr(message, at) if there else None
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


def _names(value: object, name: str, around: Sequence[object] = ()) -> Iterator[str]:
    if _number(value) is not None:
        yield name
    elif isinstance(value, list | tuple | np.ndarray):
        keys = _labels(value, around) or range(SHOWN_ELEMENTS)
        for key, inner in zip(keys, value, strict=False):
            yield from _names(inner, f"{name}[{key}]", around)
    else:
        for key, inner in _members(value).items():
            if not key.startswith("__"):
                yield from _names(inner, f"{name}.{key}" if name else key, (*around, value))


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
