"""Media of a draft: the images and instructions of demonstrations, as their reader finds them.

Every candidate is read as an image and as a text, and the reader of the format rejects what is
neither. Instructions are columns with a descriptive name, attributes such as `@language`, and the
tasks of a LeRobot data set: lines of JSON in version 2.1 (`tasks.jsonl`), and a table in version 3
(`tasks.parquet`, whose index is the text).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kinemill.draft.column import identifier
from kinemill.draft.schema_inference import empty_task, form_of, read_parts
from kinemill.draft.table import Table
from kinemill.errors import BadLog, join_first
from kinemill.ingest.name_heuristics import split_words
from kinemill.ingest.raw import Images, RawLog, Texts, Unreadable
from kinemill.ingest.readers._lerobot_meta import TASK_INDEX, dataset_of, tasks_of
from kinemill.ingest.readers._lerobot_videos import is_depth, video_features
from kinemill.ingest.readers.rosbag import BrokenBag, open_bag
from kinemill.task import READERS, Channel

LANGUAGE = {"language", "instruction", "instructions", "prompt", "task", "text", "annotation"}
ATTRIBUTES = ("@language", "@instruction", "@language_instruction", "@prompt", "@task")
FEW_TEXTS = 3  # instructions that a note spells
SMALL = 96  # pixels of the shorter side, to which videos are scaled down at most


@dataclass(frozen=True)
class Medium:
    """A channel of images or texts.

    Attributes:
        channel: its name in the task.
        role: image or text.
        source: its column, topic or attribute in the logs.
        shape: height, width and colors of an image.
        texts: meaning of each number, for a text that logs store as numbers.
        max_gap: three times the 99 % quantile of the time between two images with their own
            timestamps, s.
        notes: the draft's conclusions and evidence.
    """

    channel: str
    role: str
    source: str
    shape: tuple[int, ...] = ()
    texts: dict[int, str] = field(default_factory=dict[int, str])
    max_gap: float | None = None
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class MediaOfLogs:
    """The media of demonstrations.

    Attributes:
        media: channels of images and texts.
        instruction: the only instruction of all demonstrations; "" if there are several or none.
        left_out: reasons for omitted media, by source.
    """

    media: list[Medium]
    instruction: str
    left_out: dict[str, str]


def find_media(tables: list[Table], used_names: set[str]) -> MediaOfLogs:
    """Return the images and instructions of logs, found in the first log and its tasks.

    Args:
        tables: the logs.
        used_names: names of channels that are in use.

    Raises:
        BadLog: A log does not list its topics, or its list of tasks is damaged.
    """
    first = tables[0]
    topics = _message_topics(first.path)
    contents = _contents(first, list(dict.fromkeys([*first.left_out, *topics])), "image")
    images = {
        item.source: _image(item.source, item.content.shape, item.gap)
        for item in contents
        if isinstance(item.content, Images)
    }
    videos, left_out = _videos(first)
    texts, instruction, why = _instructions(tables, topics)
    media = _named([*images.values(), *videos, *texts], used_names)
    return MediaOfLogs(media, instruction, left_out | why)


def _image(source: str, shape: tuple[int, ...], max_gap: float | None) -> Medium:
    note = f"images of {shape[0]} x {shape[1]} pixels"
    return Medium("", "image", source, shape, max_gap=max_gap, notes=[note])


def _videos(table: Table) -> tuple[list[Medium], dict[str, str]]:
    """Return the cameras of a LeRobot data set, and why others are left out.

    Images are stored without compression, so videos are scaled down by a whole number.
    """
    media = list[Medium]()
    left_out = dict[str, str]()
    for name, feature in video_features(table.path).items():
        if is_depth(feature):
            left_out[name] = "a video of distances, which holds no colors"
            continue
        try:
            parts = _read_as(table, [name], "image")
        except Unreadable as error:
            left_out[name] = f"{error.where}: {error.problem}"
            continue
        contents = (content for part in parts for content in part.media.values())
        image = next((content for content in contents if isinstance(content, Images)), None)
        media += [_camera(name, image.shape)] if image else []
    return media, left_out


def _camera(name: str, shape: tuple[int, ...]) -> Medium:
    height, width, colors = shape
    by = max(1, min(height, width) // SMALL)
    scaled = f", scaled down to {height // by} x {width // by}" if by > 1 else ""
    note = f"video of {height} x {width} pixels{scaled}"
    return Medium("", "image", name, (height // by, width // by, colors), notes=[note])


def _instructions(
    tables: list[Table], topics: list[str]
) -> tuple[list[Medium], str, dict[str, str]]:
    """Return the text channels; with a single text the text itself, and a reason instead."""
    first = tables[0]
    has_tasks = TASK_INDEX in {*first.left_out, *first.values}
    folder = dataset_of(first.path, "data") if has_tasks else None
    numbered = tasks_of(folder) if folder else {}
    if numbered:
        return _choice(TASK_INDEX, list(numbered.values()), numbered)
    names = [*first.left_out, *topics, *(f"{topic}.data" for topic in topics)]
    named = [name for name in names if set(split_words(name)) & LANGUAGE]
    for name in [*named, *ATTRIBUTES]:
        texts = [
            text
            for table in {table.path: table for table in tables}.values()
            for item in _contents(table, [name], "text")
            if isinstance(item.content, Texts)
            for text in item.content.texts
        ]
        if texts:
            return _choice(name, texts, {})
    return [], "", {}


def _choice(
    source: str, texts: list[str], numbered: dict[int, str]
) -> tuple[list[Medium], str, dict[str, str]]:
    """Return a text channel if there is a choice between texts."""
    unique = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    if len(unique) < 2:
        why = "the same instruction in all demonstrations: it is the description"
        return [], unique[0] if unique else "", {source: why}
    note = f"{len(unique)} instructions: {join_first(unique, FEW_TEXTS, ' / ')}"
    return [Medium("", "text", source, texts=numbered, notes=[note])], "", {}


def _named(media: Iterable[Medium], used_names: set[str]) -> list[Medium]:
    """Name channels after the last part of their source; a text is called `instruction`."""
    result = list[Medium]()
    used = set(used_names)
    for medium in media:
        last = medium.source.strip("/").replace(".", "/").rpartition("/")[2]
        name = "instruction" if medium.role == "text" else identifier(last)
        name = name if name not in used else f"{name}_{medium.role}"
        while name in used:
            name = f"{name}_2"
        used.add(name)
        result.append(replace(medium, channel=name))
    return result


@dataclass(frozen=True)
class _Content:
    """Media of a part of a log under a name, and the result of `_gap`, s."""

    source: str
    content: Images | Texts
    gap: float | None


def _contents(table: Table, names: list[str], role: str) -> list[_Content]:
    """Return media under names in all parts of a log, as images or as texts."""
    while names:
        try:
            parts = _read_as(table, names, role)
        except Unreadable as error:
            refused = {str(reason["channel"]) for reason in error.reasons} & {
                *map(str, range(len(names)))
            }
            readable = [name for at, name in enumerate(names) if str(at) not in refused]
            names = readable if refused else []
        else:
            return [
                _Content(names[int(at)], content, _gap(part, at))
                for part in parts
                for at, content in part.media.items()
            ]
    return []


def _read_as(table: Table, names: list[str], role: str) -> list[RawLog]:
    """Return the parts of a log, with media under names as the channels `0`, `1` and so on.

    Raises:
        Unreadable: With a reason for each channel that is of another role.
    """
    # One numeric column, because a single text for all rows has no number of rows.
    number = Channel.model_validate(
        {"role": "state", "unit": "1", "source": next(iter(table.values))}
    )
    channels = {
        str(at): Channel.model_validate({"role": role, "source": name})
        for at, name in enumerate(names)
    }
    # Media need no timestamps, so any rate will do.
    ingest = empty_task().ingest.model_copy(update={"rate": 1.0})
    update = {"channels": {"number": number, **channels}, "ingest": ingest}
    reader = READERS[form_of(table.path) or "csv"]
    return read_parts(reader, table.path, empty_task().model_copy(update=update))


def _gap(part: RawLog, channel: str) -> float | None:
    """Return three times the 99 % quantile of the time between two samples, s.

    None for a signal without its own timestamps.
    """
    signal = part.signals.get(channel)
    if signal is None or len(signal.time) < 2:
        return None
    steps = np.diff(signal.time.to_numpy().astype(np.float64)) / part.ticks
    return 3.0 * float(np.quantile(steps, 0.99))


def _message_topics(log: Path) -> list[str]:
    """Return the topics of an MCAP file or a ROS bag, sorted; [] for other formats.

    Raises:
        BadLog: The file does not list its topics.
    """
    form = form_of(log)
    if form not in {"mcap", "rosbag"}:
        return []
    from mcap.exceptions import McapError

    try:
        return sorted(_of_mcap(log) if form == "mcap" else _of_bag(log))
    except (BrokenBag, McapError, ValueError, OSError) as error:
        raise BadLog(
            log,
            f"does not list its topics ({error})",
            expected="a whole file, because images and texts are found by topic",
            fix="put another demonstration first, or record this one again",
        ) from error


def _of_mcap(log: Path) -> set[str]:
    from mcap.reader import make_reader

    with log.open("rb") as file:
        summary = make_reader(file).get_summary()
    if summary is None:
        raise ValueError("no summary")
    return {channel.topic for channel in summary.channels.values()}


def _of_bag(log: Path) -> set[str]:
    with open_bag(log) as (bag, _):
        return {connection.topic for connection in bag.connections}
