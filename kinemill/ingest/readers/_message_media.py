"""Pictures and texts among messages: an image channel is a topic, or a field of one.

`source: /camera/image` is the picture that each message of a topic is (ROS `Image`, ROS and
Foxglove `CompressedImage`), `source: /task.data` the field that holds it, or a text. Topics of
texts speak when there is something new, so that a text counts until the next one comes, and the
first one from the start on.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import polars as pl

from kinemill.ingest.raw import Images, Reason, Signal, Texts, Unreadable, reason
from kinemill.ingest.readers._pictures import Film, of_message
from kinemill.registry import nearest
from kinemill.task import Task

Order = np.ndarray[Any, np.dtype[np.int64]]


class MessageMedia:
    """What a task wants of pictures and texts, gathered message by message.

    Attributes:
        names: sources, the bare topic or `topic.field`.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._channels = {
            source: name
            for name in task.media
            for source in [one.name for one in task.channels[name].source] or [name]
        }
        self.names = list(self._channels)
        self._films = {source: Film(name) for source, name in self._of("image")}
        self._texts: dict[str, dict[str, int]] = {source: {} for source, _ in self._of("text")}

    def _of(self, role: str) -> Iterator[tuple[str, str]]:
        for source, name in self._channels.items():
            if self._task.channels[name].role == role:
                yield source, name

    def take(self, source: str, value: Any) -> float | None:
        """Keep what a message holds; return its number among its kind, None if it holds none."""
        if source in self._films:
            found = of_message(value, _field)
            return None if found is None else float(self._films[source].add(*found))
        if not isinstance(value, str):
            return None
        places = self._texts[source]
        return float(places.setdefault(value, len(places)))

    def media(self, known: list[str]) -> dict[str, tuple[str, Images | Texts]]:
        """Return source and content of each channel.

        Args:
            known: names of all fields, for who asks for what is not there.

        Raises:
            Unreadable: with a reason for each channel of which there is nothing.
        """
        found: dict[str, tuple[str, Images | Texts]] = {}
        for source, channel in self._channels.items():
            if channel not in found and (content := self._content(source, channel)):
                found[channel] = source, content
        missing = [name for name in self._task.media if name not in found]
        if missing:
            raise Unreadable(*(_nothing(name, self._task, known) for name in missing))
        return found

    def _content(self, source: str, channel: str) -> Images | Texts | None:
        film = self._films.get(source)
        if film is not None:
            return film.images(self._task.channels[channel]) if len(film) else None
        return Texts(list(self._texts[source])) if self._texts[source] else None


def held(texts: pl.Series, places: Sequence[int], base: Signal) -> Signal:
    """Return which text counts at each sample of another signal, by the order of the file.

    Args:
        texts: number of the text in each message (k,), null where it holds none.
        places: of these messages in the file (k,).
        base: the signal; it has an order.
    """
    there = texts.is_not_null().to_numpy()
    said, order = np.asarray(places)[there], cast(Order, base.order)
    last = np.searchsorted(said, order, side="right") - 1
    values = texts.drop_nulls().cast(pl.Float64).gather(np.maximum(last, 0))
    return Signal(base.time, values, order)


def _field(message: Any, name: str) -> Any:
    if isinstance(message, Mapping):
        return message.get(name)
    return getattr(message, name) if name in getattr(message, "__dataclass_fields__", ()) else None


def _nothing(channel: str, task: Task, known: list[str]) -> Reason:
    spec = task.channels[channel]
    wanted = [source.name for source in spec.source] or [channel]
    topics = [*dict.fromkeys(name.partition(".")[0] for name in known)]
    close = next((hint for one in wanted if "did you" in (hint := nearest(one, topics))), "")
    what = "picture" if spec.role == "image" else "text"
    return reason(
        "media",
        "every message",
        f"no {what} at {' or '.join(map(repr, wanted))}",
        channel=channel,
        expected="a topic of pictures, or a field that holds a picture or a text",
        fix=f"{close} name it at `channels.{channel}.source`".strip(),
    )
