"""Images in tables and messages: PNG, JPEG, or the pixels of a ROS `Image`.

They stay encoded until they are stored as (H, W, 3) uint8, gray ones with three equal channels.
Images without 8 bits per color, such as depth, are rejected.

Symbols: H height, W width.
"""

import base64
import binascii
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadLog
from kinemill.ingest.raw import Images, Pictures, Reason, Unreadable, reason
from kinemill.task import Channel

FORMATS = ("PNG", "JPEG")
LARGEST_PICTURE = 64 << 20  # pixels
BLOCK = 16  # images decoded at a time
_COLORS: Mapping[str, tuple[int, tuple[int, int, int]]] = {  # bytes per pixel, positions of r, g, b
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
    "8UC1": (1, (0, 0, 0)),
    "8UC3": (3, (2, 1, 0)),  # OpenCV's order
}


class Plain(NamedTuple):
    """Layout of an image without a header.

    Attributes:
        height: rows, pixels.
        width: columns, pixels.
        step: bytes of a row.
        encoding: order of the colors, such as `bgr8`.
    """

    height: int
    width: int
    step: int
    encoding: str


@dataclass
class PictureFile:
    """The images of one channel in the order of the log, in a file until they are stored."""

    channel: str
    _file: Any = field(default_factory=tempfile.TemporaryFile)
    _locations: list[tuple[int, int, Plain | None]] = field(
        default_factory=list[tuple[int, int, Plain | None]]
    )

    def __len__(self) -> int:
        return len(self._locations)

    def add(self, picture: bytes, plain: Plain | None = None) -> int:
        """Add an encoded image, or pixels with their layout; return its number, from 0."""
        self._locations.append((self._file.tell(), len(picture), plain))
        self._file.write(picture)
        return len(self._locations) - 1

    def images(self, spec: Channel) -> Images:
        """Return the images, decoded on demand; see `as_images`.

        Raises:
            Unreadable: As in `as_images`.
        """
        return as_images(self.channel, self._decode, spec)

    def _decode(self, number: int) -> Pictures:
        start, length, plain = self._locations[number]
        self._file.seek(start)
        return decode_picture(self._file.read(length), plain)


def as_images(
    channel: str, picture: Callable[[int], Pictures], spec: Channel, first: int = 0
) -> Images:
    """Return the images of a channel, decoded on demand.

    Args:
        channel: name of the channel.
        picture: function that returns an image (H, W, 3) by its number.
        spec: the channel, which may state a shape.
        first: number of an existing image.

    Returns:
        Images whose `read` raises `BadLog` for an image of another shape than the first one.

    Raises:
        Unreadable: The first one is not an image, or of another shape than the channel states.
    """
    try:
        shape = picture(first).shape
    except BadLog as error:
        raise Unreadable(_no_picture(channel, str(error.problem))) from error
    if spec.shape and shape != spec.shape:
        raise Unreadable(_other_shape(channel, shape, spec))

    def read(rows: NDArray[np.int64]) -> Iterator[Pictures]:
        for block_rows in np.array_split(rows, -(-len(rows) // BLOCK)) if len(rows) else []:
            block = [picture(int(row)) for row in block_rows]
            for row, image in zip(block_rows, block, strict=True):
                if image.shape != shape:
                    problem = f"picture {row + 1} is {list(image.shape)}"
                    raise BadLog(
                        f"image {channel!r}", problem, expected=f"{list(shape)}, as before"
                    )
            yield np.stack(block)

    return Images(shape, read)


def decode_picture(picture: bytes, plain: Plain | None = None) -> Pictures:
    """Return an image as (H, W, 3) uint8.

    Raises:
        BadLog: It is not an image, too large, or has more than eight bits per color.
    """
    return _decode_file(picture) if plain is None else _pixels(picture, plain)


def _decode_file(picture: bytes) -> Pictures:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(picture), formats=FORMATS) as opened:
            if opened.width * opened.height > LARGEST_PICTURE:
                raise _bad(f"a picture of {opened.width} x {opened.height}")
            if opened.mode not in {"L", "LA", "P", "RGB", "RGBA"}:
                raise _bad(f"a picture of mode {opened.mode}")
            return np.asarray(opened.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise _bad(f"{len(picture)} bytes that are not a complete PNG or JPEG") from None


def _pixels(picture: bytes, plain: Plain) -> Pictures:
    if plain.encoding not in _COLORS:
        raise _bad(f"pixels in {plain.encoding!r}")
    width, order = _COLORS[plain.encoding]
    row = plain.width * width
    too_large = plain.height * plain.width > LARGEST_PICTURE
    if min(plain.height, plain.width) < 1 or too_large or plain.step < row:
        raise _bad(f"{plain.height} x {plain.width} pixels in rows of {plain.step} bytes")
    if len(picture) != plain.height * plain.step:
        raise _bad(f"{len(picture)} bytes for {plain.height} rows of {plain.step}")
    rows = np.frombuffer(picture, np.uint8).reshape(plain.height, plain.step)[:, :row]
    return rows.reshape(plain.height, plain.width, width)[..., list(order)]


def of_message(message: Any, get: Callable[[Any, str], Any]) -> tuple[bytes, Plain | None] | None:
    """Return the image in a ROS or Foxglove message; None if there is none.

    Args:
        message: a message with `data`, and `height`, `width`, `encoding`, `step` if the image has
            no header; or the bytes themselves. Bytes in JSON are base64.
        get: function that returns the field of a message by its name, or None.
    """
    content = message if isinstance(message, str | bytes | np.ndarray) else get(message, "data")
    data = _bytes(content)
    if data is None:
        return None
    encoding = get(message, "encoding")
    if not isinstance(encoding, str):
        return data, None
    height, width, step = (get(message, name) for name in ("height", "width", "step"))
    if not all(isinstance(size, int | np.integer) for size in (height, width, step)):
        return None
    return data, Plain(int(height), int(width), int(step), encoding)


def _bytes(content: object) -> bytes | None:
    if isinstance(content, bytes | bytearray):
        return bytes(content)
    if isinstance(content, np.ndarray) and content.dtype == np.uint8:
        return content.tobytes()
    if not isinstance(content, str):
        return None
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return None


def _bad(problem: str) -> BadLog:
    return BadLog("picture", problem, expected="PNG, JPEG, or 8-bit pixels")


def _no_picture(channel: str, problem: str) -> Reason:
    return reason(
        "media",
        "first picture",
        f"holds {problem}",
        channel=channel,
        expected="PNG, JPEG, or 8-bit pixels",
        fix=f"name another source at `channels.{channel}.source`",
    )


def _other_shape(channel: str, shape: tuple[int, ...], spec: Channel) -> Reason:
    return reason(
        "media",
        "first picture",
        f"is {list(shape)}",
        channel=channel,
        expected=f"{list(spec.shape or ())}, as set in the task",
        fix=f"correct `channels.{channel}.shape`",
    )
