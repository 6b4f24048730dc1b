"""Video archive: a Parquet file of a LeRobot data set and its videos as one file.

A recording is identified by the sha256 of its bytes, and these bytes are kept. For a task that
reads videos, they are a tar archive: `kinemill-videos.json` lists the videos, then come the Parquet
file and each video. The same files give the same bytes. An archive is read in place; nothing is
unpacked, and no name in it is used as a path.
"""

import errno
import io
import json
import os
import tarfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import pydantic

from kinemill.ingest.readers._arrays import damaged_file
from kinemill.ingest.readers._lerobot_meta import dataset_of
from kinemill.ingest.readers._lerobot_videos import EpisodeVideo, find_videos, uses_videos
from kinemill.store import file_digest
from kinemill.task import Task

INDEX = "kinemill-videos.json"
TABLE = "log.parquet"
MAGIC = INDEX.encode() + b"\0"  # a tar archive begins with the name of its first file
LARGEST_INDEX = 64 << 20  # bytes
_BLOCK = 1 << 20  # bytes that are read at a time


@dataclass(frozen=True)
class _Index:
    """Content of an archive: sha256 of its Parquet file, and its videos."""

    table: str
    videos: tuple[EpisodeVideo, ...]


_INDEXES = pydantic.TypeAdapter(_Index)


@dataclass(frozen=True)
class VideoLog:
    """A Parquet file and its videos, in a data set or in an archive.

    Attributes:
        path: the Parquet file or the archive.
        videos: videos of its episodes; none for a task that reads none.
        folder: folder of the data set; None: the videos are in the archive.
        is_archive: whether `path` is an archive.
    """

    path: Path
    videos: tuple[EpisodeVideo, ...] = ()
    folder: Path | None = None
    is_archive: bool = False

    @contextmanager
    def open_table(self) -> Generator[Path | IO[bytes]]:
        """Open the Parquet file.

        Raises:
            Unreadable: The archive is damaged.
        """
        if self.is_archive:
            with _member(self.path, TABLE) as file:
                yield file
        else:
            yield self.path

    @contextmanager
    def open_video(self, name: str) -> Generator[IO[bytes]]:
        """Open a video by its path in the data set.

        Raises:
            Unreadable: The archive is damaged.
            OSError: The file of a data set cannot be read.
        """
        folder = self.folder
        with (folder / name).open("rb") if folder else _member(self.path, name) as file:
            yield file


def open_log(path: Path, task: Task) -> VideoLog:
    """Return a Parquet log with the videos of its episodes, if the task reads videos.

    Raises:
        Unreadable: It is a damaged archive.
    """
    if is_archive(path):
        return VideoLog(path, _read_index(path).videos, is_archive=True)
    if uses_videos(task, path):
        return VideoLog(path, tuple(find_videos(path)), dataset_of(path, "data"))
    return VideoLog(path)


def is_archive(path: Path) -> bool:
    """Return whether a file is a video archive."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def table_digest(path: Path) -> str | None:
    """Return the sha256 of the Parquet file in an archive; None if a file is not an archive.

    Raises:
        Unreadable: It is a damaged archive.
    """
    return _read_index(path).table if is_archive(path) else None


def write_blocks(path: Path, videos: Sequence[EpisodeVideo]) -> Iterator[bytes]:
    """Yield the archive of a Parquet file and its videos, block by block.

    Raises:
        OSError: A file cannot be read, or changes meanwhile.
    """
    folder = dataset_of(path, "data") or path.parent
    index = _Index(file_digest(path), tuple(videos))
    content = json.dumps(asdict(index), sort_keys=True).encode()
    yield from _entry(INDEX, len(content), io.BytesIO(content))
    files = {TABLE: path} | {
        video.file: folder / video.file for video in videos if not video.problem
    }
    for name, video_path in files.items():
        with _open_present(video_path) as file:
            yield from _entry(name, os.fstat(file.fileno()).st_size, file)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _entry(name: str, size: int, file: IO[bytes]) -> Iterator[bytes]:
    """Yield one file of an archive, without times and owners: equal files make equal archives."""
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o444
    bytes_left = size
    yield header.tobuf(tarfile.GNU_FORMAT)
    while bytes_left and (block := file.read(min(bytes_left, _BLOCK))):
        bytes_left -= len(block)
        yield block
    if bytes_left:
        raise OSError(errno.ESTALE, "was cut while the log was read", name)
    yield bytes(-size % tarfile.BLOCKSIZE)


def _open_present(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise OSError(errno.ESTALE, "was removed while the log was read", str(path)) from error


def _read_index(path: Path) -> _Index:
    with _member(path, INDEX) as file:
        try:
            return _INDEXES.validate_json(file.read(LARGEST_INDEX))
        except pydantic.ValidationError as error:
            raise damaged_file("video archive", error) from error


@contextmanager
def _member(path: Path, name: str) -> Generator[IO[bytes]]:
    """Open a file of an archive, in place."""
    with closing(_archive(path)) as archive:
        try:
            file = archive.extractfile(name)
        except KeyError as error:
            raise damaged_file("video archive", error) from error
        if file is None:
            raise damaged_file("video archive", ValueError(f"{name} is not a file"))
        with file:
            yield file


def _archive(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:")
    except tarfile.TarError as error:
        raise damaged_file("video archive", error) from error
