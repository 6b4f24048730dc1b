"""Images and texts among messages: an image channel is a topic, or a field of one.

`source: /camera/image` is the image in each message of a topic (ROS `Image`, ROS and Foxglove
`CompressedImage`), `source: /task.data` the field with it, or a text. Topics of texts send changes
only, so a text is held until the next one, and the first one is used from the start.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import polars as pl

from kinemill.ingest.raw import Images, Signal, Texts, Unreadable, missing_media
from kinemill.ingest.readers._pictures import PictureFile, of_message
from kinemill.task import Task

Order = np.ndarray[Any, np.dtype[np.int64]]


class MessageMedia:
    """Images and texts that a task requests, collected message by message.

    Args:
        task: task with the channels.

    Attributes:
        names: sources, the bare topic or `topic.field`.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._channels = {
            source: name
            for name in task.media
            for source in [column.name for column in task.channels[name].source] or [name]
        }
        self.names = list(self._channels)
        self._pictures = {source: PictureFile(name) for source, name in self._sources_of("image")}
        self._texts: dict[str, dict[str, int]] = {
            source: {} for source, _ in self._sources_of("text")
        }

    def _sources_of(self, role: str) -> Iterator[tuple[str, str]]:
        for source, name in self._channels.items():
            if self._task.channels[name].role == role:
                yield source, name

    def take(self, source: str, value: object) -> float | None:
        """Store the image or text of a message; return its number, None if the message has none."""
        if source in self._pictures:
            picture = of_message(value, _field)
            return None if picture is None else float(self._pictures[source].add(*picture))
        if not isinstance(value, str):
            return None
        indices = self._texts[source]
        return float(indices.setdefault(value, len(indices)))

    def media(self, available: list[str]) -> dict[str, tuple[str, Images | Texts]]:
        """Return source and content of each channel.

        Args:
            available: names of all fields, for the error about a missing one.

        Raises:
            Unreadable: A channel has no images or texts; each one has a reason.
        """
        contents: dict[str, tuple[str, Images | Texts]] = {}
        for source, channel in self._channels.items():
            if channel not in contents and (content := self._content(source, channel)):
                contents[channel] = source, content
        missing = [name for name in self._task.media if name not in contents]
        if missing:
            topics = [*dict.fromkeys(name.partition(".")[0] for name in available)]
            kinds = {"image": "picture at", "text": "text at"}
            raise Unreadable(
                *(
                    missing_media(
                        name,
                        self._task,
                        topics,
                        kinds[self._task.channels[name].role],
                        where="every message",
                    )
                    for name in missing
                )
            )
        return contents

    def _content(self, source: str, channel: str) -> Images | Texts | None:
        pictures = self._pictures.get(source)
        if pictures is not None:
            return pictures.images(self._task.channels[channel]) if len(pictures) else None
        return Texts(list(self._texts[source])) if self._texts[source] else None


def hold_texts(texts: pl.Series, positions: Sequence[int], base: Signal) -> Signal:
    """Return the latest text at each of the n samples of another signal, in the order of the file.

    Args:
        texts: number of the text in each message (k,), null for messages without one.
        positions: positions of these messages in the file (k,), rising.
        base: the other signal (n,), with `order`.
    """
    there = texts.is_not_null().to_numpy()
    said = np.asarray(positions)[there]
    order = cast(Order, base.order)
    last = np.searchsorted(said, order, side="right") - 1
    values = texts.drop_nulls().cast(pl.Float64).gather(np.maximum(last, 0))
    return Signal(base.time, values, order)


def _field(message: object, name: str) -> Any:
    if isinstance(message, Mapping):
        return message.get(name)
    return getattr(message, name) if name in getattr(message, "__dataclass_fields__", ()) else None
