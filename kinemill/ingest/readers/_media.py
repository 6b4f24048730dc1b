"""Images and texts among the arrays of a file: which belong to a channel, and how they are read.

An image channel is an array of images (N, H, W, 3) uint8, which is not read here. A text channel is
one text for the part or one for each row, in an array of texts or in an attribute (`@language`) of
the part's group or of one of its parents.

Symbols: N rows of a part, H height, W width.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from kinemill.ingest.raw import Images, Pictures, Reason, Texts, Unreadable, missing_media, reason
from kinemill.ingest.readers._arrays import LARGEST, Array, is_encoded, size_problem
from kinemill.ingest.readers._pictures import as_images, decode_picture
from kinemill.task import Channel, Task

LARGEST_IMAGES = 64 << 30  # bytes that the images of one channel in one part may declare
BLOCK = 16 << 20  # bytes of images in memory at a time
LONGEST_TEXT = 1 << 20  # characters of all distinct texts of a part


@dataclass(frozen=True)
class MediaColumn:
    """The images or texts of one channel in a part.

    Attributes:
        channel: its name in the task.
        media: the images or texts.
        rows: number of rows; 0 for one text for all rows.
        text_indices: index of the text of each row (N,).
    """

    channel: str
    media: Images | Texts
    rows: int
    text_indices: NDArray[np.int64] | None = None

    def references(self, rows: int) -> NDArray[np.float64]:
        """Return the index of the image or text of each of the first rows, (rows,)."""
        if self.text_indices is not None:
            return self.text_indices[:rows].astype(np.float64)
        return np.arange(rows, dtype=np.float64) if self.rows else np.zeros(rows)


class HasTexts(Protocol):
    """The texts of one file."""

    def texts(self, group: str, name: str) -> list[str] | None:
        """Return the texts in an array or, for `@name`, in an attribute of a group."""
        ...


def read_media(
    tree: HasTexts, part: str, arrays: Mapping[str, Array], task: Task
) -> list[MediaColumn]:
    """Return the images (N, H, W, 3) and texts of a part, one column for each channel.

    Args:
        tree: the file.
        part: name of the part's group.
        arrays: arrays of the part, by source name.
        task: task with the channels.

    Raises:
        Unreadable: A channel is missing or of another type; each one has a reason.
    """
    columns = list[MediaColumn]()
    reasons = list[Reason]()
    for name in task.media:
        channel = task.channels[name]
        sources = [source.name for source in channel.source] or [name]
        column = (
            _image(name, sources, arrays, channel)
            if channel.role == "image"
            else _text(name, sources, tree, part)
        )
        if isinstance(column, MediaColumn):
            columns.append(column)
        else:
            what = "array of pictures" if channel.role == "image" else "text"
            note = "; `@name` is an attribute"
            reasons.append(column or missing_media(name, task, list(arrays), what, note=note))
    if reasons:
        raise Unreadable(*reasons)
    return columns


def _image(
    name: str, sources: list[str], arrays: Mapping[str, Array], channel: Channel
) -> MediaColumn | Reason | None:
    source = next((source for source in sources if source in arrays), None)
    if source is None:
        return None
    array = arrays[source]
    if is_encoded(array) and array.rows:
        read_rows = array.rows
        images = as_images(
            name, lambda row: decode_picture(read_rows(row, row + 1).tobytes()), channel
        )
        return MediaColumn(name, images, array.shape[0])
    shape = list(channel.shape) if channel.shape else ["H", "W", 3]
    fits = len(array.shape) == 4 and array.shape[3] == 3 and array.dtype == np.uint8
    if array.trouble or not fits or (channel.shape and array.shape[1:] != channel.shape):
        what = array.trouble or f"holds {array.dtype} of shape {list(array.shape)}"
        return reason(
            "media",
            f"array {source!r}",
            what,
            channel=name,
            expected=f"uint8 of shape [rows, {', '.join(map(str, shape))}]",
            fix=f"correct `channels.{name}`, or write colors last and as bytes",
        )
    if wrong := size_problem(source, array, LARGEST_IMAGES if array.rows else LARGEST):
        return {**wrong, "channel": name}
    read = array.rows or _row_slicer(array.load())
    return MediaColumn(name, Images(array.shape[1:], _blocks(read, array)), array.shape[0])


def _row_slicer(values: Any) -> Callable[[int, int], NDArray[np.generic]]:
    return lambda start, stop: values[start:stop]


def _blocks(
    read: Callable[[int, int], NDArray[np.generic]], array: Array
) -> Callable[[NDArray[np.int64]], Iterator[Pictures]]:
    """Return a function that yields the images at rising rows, one block of the file at a time."""
    size = max(1, BLOCK // max(1, int(np.prod(array.shape[1:]))))

    def blocks(rows: NDArray[np.int64]) -> Iterator[Pictures]:
        first = 0
        while first < len(rows):
            start = int(rows[first])
            last = int(np.searchsorted(rows, start + size))
            near = read(start, int(rows[last - 1]) + 1)
            yield cast(Pictures, near[rows[first:last] - start])
            first = last

    return blocks


def _text(name: str, sources: list[str], tree: HasTexts, part: str) -> MediaColumn | Reason | None:
    for source in sources:
        texts = _look_up(tree, part, source)
        if texts is None:
            continue
        indices = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        length = sum(map(len, indices))
        if length > LONGEST_TEXT or not texts:
            return reason(
                "media",
                f"text {source!r}",
                f"{length} characters of different texts" if texts else "no text",
                channel=name,
                expected=f"an instruction or one for each row, at most {LONGEST_TEXT} characters",
                fix=f"name another array at `channels.{name}.source`",
            )
        if len(texts) == 1:
            return MediaColumn(name, Texts(texts), 0)
        rows = np.array([indices[text] for text in texts], np.int64)
        return MediaColumn(name, Texts(list(indices)), len(texts), rows)
    return None


def _look_up(tree: HasTexts, part: str, source: str) -> list[str] | None:
    """Return the texts of a source; attributes of parent groups apply to all groups below."""
    if source.startswith("/"):
        return tree.texts("", source.lstrip("/"))
    group = part
    while (values := tree.texts(group, source)) is None and source.startswith("@") and group:
        group = group.rpartition("/")[0]
    return values
