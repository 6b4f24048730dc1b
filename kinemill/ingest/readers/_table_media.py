"""Images and texts in columns of a table: encoded images, and one text per row."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from kinemill.errors import BadLog
from kinemill.ingest.raw import Images, Pictures, Reason, Texts, Unreadable, missing_media, reason
from kinemill.ingest.readers._pictures import as_images, decode_picture
from kinemill.task import Channel, Task


def is_picture(kind: pl.DataType) -> bool:
    """Return whether a column holds encoded images: bytes, alone or as a field of that name."""
    if isinstance(kind, pl.Struct):
        return any(field.name == "bytes" and field.dtype == pl.Binary for field in kind.fields)
    return kind == pl.Binary


def media_columns(
    schema: Mapping[str, pl.DataType], task: Task, videos: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the column of each image and text channel.

    Args:
        schema: types of the columns of the file.
        task: task with the channels.
        videos: channels that are not columns, and the feature of each.

    Raises:
        Unreadable: A channel is missing or of another type; each one has a reason.
    """
    columns = dict[str, str]()
    reasons = list[Reason]()
    for channel in task.media:
        if channel in (videos or {}):
            continue
        spec = task.channels[channel]
        names = [source.name for source in spec.source] or [channel]
        name = next((name for name in names if name in schema), None)
        if name is None:
            reasons.append(missing_media(channel, task, list(schema), "column"))
        elif not _fits(schema[name], spec):
            reasons.append(_unusable(channel, name, schema[name], spec))
        else:
            columns[channel] = name
    if reasons:
        raise Unreadable(*reasons)
    return columns


def read_media(column: pl.Series, channel: str, task: Task) -> tuple[Images | Texts, pl.Series]:
    """Return the images or distinct texts of a column, and the index for each row, (rows,) Float64.

    A row without a value has the index of the row before it; rows before the first value have the
    index of that value.

    Raises:
        Unreadable: No row holds a value, the first picture cannot be decoded, or a number has no
            text in the task.
    """
    spec = task.channels[channel]
    if spec.texts or _is_text(column.dtype):
        texts = _decode_texts(column, channel, spec) if spec.texts else column.cast(pl.String)
        unique_texts = texts.drop_nulls().unique(maintain_order=True)
        indices = texts.replace_strict(
            unique_texts, pl.Series(range(len(unique_texts))), default=None
        )
        content = Texts(unique_texts.to_list())
        references = indices.cast(pl.Float64)
    else:
        pictures = column.struct.field("bytes") if column.dtype == pl.Struct else column
        rows = np.flatnonzero(pictures.is_not_null().to_numpy())
        content = _images(pictures, int(rows[0]), channel, task) if len(rows) else None
        references = pl.select(pl.int_range(len(pictures)).cast(pl.Float64)).to_series()
        references = pl.select(pl.when(pictures.is_not_null()).then(references)).to_series()
    if content is None or references.null_count() == len(references):
        raise Unreadable(_empty(channel, column.name))
    filled = references.fill_null(strategy="forward").fill_null(strategy="backward")
    return content, filled.alias(channel)


def with_media(
    frame: pl.DataFrame, whole: pl.DataFrame, columns: Mapping[str, str], task: Task
) -> tuple[pl.DataFrame, dict[str, Images | Texts]]:
    """Return a frame (rows, channels) with the index of each image and text, and their content.

    Args:
        frame: the numeric channels.
        whole: columns of the file, (rows, columns).
        columns: column of each channel of images or texts.
        task: task with the channels.

    Raises:
        Unreadable: As `read_media`.
    """
    contents = dict[str, Images | Texts]()
    for channel, name in columns.items():
        contents[channel], references = read_media(whole[name], channel, task)
        frame = frame.with_columns(references)
    return frame, contents


def _images(pictures: pl.Series, first: int, channel: str, task: Task) -> Images:
    def picture(row: int) -> Pictures:
        content = pictures[row]
        if content is None:
            raise BadLog(f"row {row + 1}", "no picture")
        return decode_picture(content)

    return as_images(channel, picture, task.channels[channel], first)


def _fits(kind: pl.DataType, spec: Channel) -> bool:
    if spec.role == "image":
        return is_picture(kind)
    return kind.is_integer() if spec.texts else _is_text(kind)


def _decode_texts(column: pl.Series, channel: str, spec: Channel) -> pl.Series:
    """Return the texts of a column of numbers, from the mapping in the task.

    Raises:
        Unreadable: It holds a number without a text in the task.
    """
    unknown = sorted(set(column.drop_nulls().unique().to_list()) - set(spec.texts))
    if unknown:
        raise Unreadable(
            reason(
                "media",
                f"column {column.name!r}",
                f"holds {unknown[0]}",
                channel=channel,
                expected=f"one of {', '.join(map(str, spec.texts))}",
                fix=f"define it at `channels.{channel}.texts`",
            )
        )
    return column.replace_strict(spec.texts, default=None, return_dtype=pl.String)


def _is_text(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.String | pl.Categorical)


def _unusable(channel: str, name: str, kind: pl.DataType, spec: Channel) -> Reason:
    pictures = "PNG or JPEG pictures, as bytes or a struct with `bytes`"
    return reason(
        "media",
        f"column {name!r}",
        f"holds {kind}",
        channel=channel,
        expected=pictures if spec.role == "image" else "whole numbers" if spec.texts else "texts",
        fix=f"name another column at `channels.{channel}.source`",
    )


def _empty(channel: str, name: str) -> Reason:
    return reason(
        "media",
        f"column {name!r}",
        "is empty",
        channel=channel,
        expected="a picture or a text in some row",
        fix=f"name another column at `channels.{channel}.source`",
    )
