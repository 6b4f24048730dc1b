"""Videos of a LeRobot data set: the file and the times of each episode and camera.

`video_path` of `meta/info.json` names the files. Version 2 has a video for each episode. Version 3
has several episodes in a video, at the times that `meta/episodes` states.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np
import polars as pl

from kinemill.ingest.file_stat import is_file, is_folder, real_path
from kinemill.ingest.readers._lerobot_meta import Json, as_object, dataset_of, read_info
from kinemill.store.json_io import valid_text
from kinemill.task import Task

SUFFIX = ".mp4"
CHUNK = 1000  # episodes in a folder of version 2, if `chunks_size` is not stated
LONGEST = 1024  # characters of a path
_SPECS = {"", "d", *(f"0{width}d" for width in range(1, 10))}
# Exceptions of Arrow for a damaged file.
_DAMAGE = (OSError, ValueError, TypeError, KeyError, MemoryError, NotImplementedError)


@dataclass(frozen=True)
class EpisodeVideo:
    """The part of a video that shows one episode.

    Attributes:
        feature: name of the camera, such as `observation.images.top`.
        episode: number of the episode.
        file: path in the data set, with forward slashes.
        fps: frames per second, Hz.
        shape: height, width and colors that the data set states; empty if it states none.
        start: time of the first row in the video, s.
        stop: end of the episode, s; None if the video shows no other one.
        problem: why the video cannot be used, such as `does not exist`; else empty.
    """

    feature: str
    episode: int
    file: str
    fps: float
    shape: tuple[int, ...] = ()
    start: float = 0.0
    stop: float | None = None
    problem: str = ""


def video_features(path: Path) -> dict[str, Json]:
    """Return the fields of each feature that is a video, of the data set of a log or a video."""
    folder = dataset_of(path, "data") or dataset_of(path, "videos")
    features = as_object(read_info(folder).get("features")) if folder else {}
    described = {name: as_object(feature) for name, feature in features.items()}
    return {name: feature for name, feature in described.items() if feature.get("dtype") == "video"}


def is_depth(feature: Json) -> bool:
    """Return whether a video shows distances instead of colors."""
    details = {**feature, **as_object(feature.get("video_info")), **as_object(feature.get("info"))}
    return any(details.get(name) is True for name in ("is_depth_map", "video.is_depth_map"))


def camera_channels(task: Task, features: Mapping[str, object]) -> dict[str, str]:
    """Return the feature of each image channel of a task that names a video."""
    images = [name for name in task.media if task.channels[name].role == "image"]
    sources = {
        name: [source.name for source in task.channels[name].source] or [name] for name in images
    }
    cameras = {
        name: next((candidate for candidate in candidates if candidate in features), "")
        for name, candidates in sources.items()
    }
    return {name: feature for name, feature in cameras.items() if feature}


def uses_videos(task: Task, path: Path) -> bool:
    """Return whether a task reads videos of the data set to which a log or a video belongs."""
    has_images = any(task.channels[name].role == "image" for name in task.media)
    return has_images and bool(camera_channels(task, video_features(path)))


def is_read_video(task: Task, path: Path) -> bool:
    """Return whether a file is a video of a data set whose videos a task reads."""
    return path.suffix.lower() == SUFFIX and uses_videos(task, path)


def find_videos(path: Path) -> list[EpisodeVideo]:
    """Return the videos of all cameras and episodes of a Parquet file, sorted.

    A video that cannot be found is listed with the problem; the others are not affected.

    Raises:
        OSError: The machine caused an error; a damaged file has no videos.
    """
    folder = dataset_of(path, "data")
    features = video_features(path)
    if folder is None or not features:
        return []
    dataset = _DataSet(folder, read_info(folder))
    table, _ = _read_columns(path, ["episode_index"])
    column = table["episode_index"] if table.width else pl.Series(dtype=pl.Int64)
    numbers = sorted(set(column.drop_nulls().to_list()))
    episodes = dataset.episodes(features, numbers)
    return [
        dataset.video(name, number, feature, episodes)
        for name, feature in sorted(features.items())
        for number in numbers
    ]


@dataclass(frozen=True)
class _EpisodeRows:
    """Rows of `meta/episodes` by episode, and why a file of it cannot be read.

    `rows` is None for version 2, which has no such files.
    """

    rows: Mapping[int, Json] | None
    problem: str = ""


@dataclass(frozen=True)
class _DataSet:
    """A data set: its folder, and its `meta/info.json`."""

    folder: Path
    info: Json

    def episodes(self, features: Mapping[str, Json], numbers: list[int]) -> _EpisodeRows:
        """Return the rows of `meta/episodes` for some episodes."""
        meta = self.folder / "meta" / "episodes"
        if not is_folder(meta):
            return _EpisodeRows(None)
        keys = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
        columns = ["episode_index", *(f"videos/{name}/{key}" for name in features for key in keys)]
        rows = dict[int, Json]()
        problem = ""
        for path in sorted(meta.glob("*/*.parquet")):
            frame, why = _read_columns(path, columns)
            problem = problem or (f"{path.relative_to(self.folder)} {why}" if why else "")
            if "episode_index" in frame.columns:
                matching = frame.filter(pl.col("episode_index").is_in(numbers))
                rows |= {int(row["episode_index"]): row for row in matching.to_dicts()}
        return _EpisodeRows(rows, problem)

    def video(self, name: str, number: int, feature: Json, episodes: _EpisodeRows) -> EpisodeVideo:
        """Return the video of one camera and episode."""
        row = (episodes.rows or {}).get(number)
        fps = _number(self.info.get("fps"))
        shape = tuple(size for size in _list(feature.get("shape")) if isinstance(size, int))
        if fps is None or fps <= 0.0:
            problem = "has no times, because meta/info.json states no `fps`"
            return EpisodeVideo(name, number, "meta/info.json", 1.0, problem=problem)
        if episodes.rows is not None and row is None:
            problem = episodes.problem or f"has no row for episode {number}"
            return EpisodeVideo(name, number, "meta/episodes", fps, problem=problem)
        start, stop = self._span(name, row)
        if start is None:
            problem = f"has no times of {name} in episode {number}"
            return EpisodeVideo(name, number, "meta/episodes", fps, problem=problem)
        file, problem = self._file(name, number, row or {})
        problem = problem or ("is a video of distances, which is not read" * is_depth(feature))
        return EpisodeVideo(name, number, file, fps, shape, start, stop, problem)

    def _span(self, name: str, row: Json | None) -> tuple[float | None, float | None]:
        """Return the times in its video at which an episode starts and ends, s."""
        if row is None:
            return 0.0, None
        start, stop = (_number(row.get(f"videos/{name}/{key}_timestamp")) for key in ("from", "to"))
        return (start, stop) if stop is not None else (None, None)

    def _file(self, name: str, number: int, row: Json) -> tuple[str, str]:
        """Return the path of a video in the data set, and why it cannot be used."""
        size = self.info.get("chunks_size")
        values = {
            "video_key": name,
            "episode_index": number,
            "episode_chunk": number // (size if isinstance(size, int) and size > 0 else CHUNK),
            "chunk_index": row.get(f"videos/{name}/chunk_index"),
            "file_index": row.get(f"videos/{name}/file_index"),
        }
        template = self.info.get("video_path")
        file = _fill(template, values) if isinstance(template, str) else None
        if file is None:
            spelled = valid_text(repr(template)[:200])
            return "meta/info.json", f"has no valid `video_path`, but {spelled}"
        if len(file) > LONGEST or "\0" in file or file != valid_text(file):
            return valid_text(file[:LONGEST]), "is not a valid path"
        if file.startswith("/") or ".." in PurePosixPath(file).parts:
            return file, "leads out of the data set"
        path = self.folder / file
        if not real_path(path).is_relative_to(real_path(self.folder)):
            return file, "is a link out of the data set"
        return file, "" if is_file(path) else "does not exist"


def _fill(template: str, values: Mapping[str, object]) -> str | None:
    """Fill the known fields of a path; None for others: `str.format` would read attributes."""
    filled = list[str]()
    try:
        for text, field, spec, conversion in string.Formatter().parse(template):
            value = values.get(field or "")
            is_number = isinstance(value, int) and spec in _SPECS
            if field is not None and (conversion or not (is_number or (value and not spec))):
                return None
            filled += [text, format(value, spec or "") if field is not None else ""]
    except ValueError:  # a brace without its partner
        return None
    return "".join(filled)


def _read_columns(path: Path, columns: list[str]) -> tuple[pl.DataFrame, str]:
    """Return those of some columns that a Parquet file has, and why it cannot be read.

    Raises:
        OSError: The machine caused the error, not the file.
    """
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            names = [name for name in columns if name in file.schema_arrow.names]
            return cast(pl.DataFrame, pl.from_arrow(file.read(columns=names))), ""
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return pl.DataFrame(), f"is not a complete Parquet file ({type(error).__name__})"


def _number(value: object) -> float | None:
    """Return a finite number as a float; None for anything else."""
    is_number = isinstance(value, int | float) and bool(np.isfinite(value))
    return float(cast(float, value)) if is_number else None


def _list(value: object) -> list[object]:
    return cast(list[object], value) if isinstance(value, list) else []
