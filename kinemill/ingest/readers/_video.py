"""Frames of one episode in a video, chosen by their times.

A row of the log takes the frame nearest to it in time, as LeRobot does, if they are at most a
quarter of a frame apart. Frames are decoded one after another from the key frame before the
episode, and scaled down one by one, so no episode is in memory.

Symbols: n rows, H height, W width, t time in the video in s.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from kinemill.errors import BadLog
from kinemill.ingest.clock import Floats
from kinemill.ingest.raw import Images, Pictures
from kinemill.ingest.readers._lerobot_videos import EpisodeVideo
from kinemill.ingest.readers._pictures import LARGEST_PICTURE
from kinemill.task import Channel

TOLERANCE = 0.25  # frames between a row and its picture; half a frame would be ambiguous
MARGIN = 1.0  # s; a key frame is stored before frames that are shown earlier
BLOCK = 16 << 20  # bytes of images in memory at a time
# Only this demuxer: others, such as HLS, would open files and addresses that the video names.
CONTAINER = "mp4"
# Damaged frames are errors. By default, ffmpeg fills them from the frames before.
STRICT = {"err_detect": "explode+crccheck+bitstream+buffer"}

OpenVideo = Callable[[str], AbstractContextManager[IO[bytes]]]  # opens a file of the data set


def video_images(
    video: EpisodeVideo, open_file: OpenVideo, seconds: Floats, spec: Channel
) -> Images:
    """Return the images of an episode, one for each row, decoded on demand.

    Args:
        video: file and times of the episode.
        open_file: function that opens a video by its path in the data set.
        seconds: times of the rows since the start of the episode (n,), s; rising.
        spec: the channel, which may state a smaller shape, to which the images are scaled.

    Returns:
        Images (H, W, 3) uint8; their `read` raises `BadLog` for a missing or damaged frame.

    Raises:
        BadLog: The video is missing, damaged, of another size, or shorter than the episode by its
            metadata.
    """
    if video.problem:
        fix = "copy the whole data set again, videos and meta/ included"
        raise BadLog(video.file, video.problem, expected="the video of the episode", fix=fix)
    times = video.start + seconds
    _check_end(video, times)
    with open_file(video.file) as file, _decoding(video, file) as (_, stream):
        size = (stream.codec_context.height, stream.codec_context.width)
    shape = _target_shape(video, size, spec)

    def read(rows: NDArray[np.int64]) -> Iterator[Pictures]:
        per_block = max(1, BLOCK // int(np.prod(shape)))
        pictures = _pictures(video, open_file, times[rows], (*size, *shape))
        for first in range(0, len(rows), per_block):
            yield np.stack([next(pictures) for _ in rows[first : first + per_block]])

    return Images(shape, read)


def _check_end(video: EpisodeVideo, times: Floats) -> None:
    """Check that no row is after the end of the episode, where the next episode begins.

    Raises:
        BadLog: A row is after the end, or the times are missing or go back.
    """
    if not np.isfinite(times).all() or (np.diff(times) < 0.0).any():
        problem = "the timestamps of its rows are missing or go back"
        fix = "correct the column `timestamp` of the data set"
        raise BadLog(video.file, problem, expected="rising timestamps", fix=fix)
    last = float(times.max(initial=video.start))
    tolerance = TOLERANCE / video.fps
    if video.stop is not None and last > video.stop - tolerance:
        raise BadLog(
            f"{video.file}, {last:.4f} s",
            f"is after the end of episode {video.episode} in the video, {video.stop:.4f} s",
            expected="a part of the video for every row, as meta/episodes states it",
            fix="record the episode again, or write meta/ again with LeRobot",
        )


def _target_shape(video: EpisodeVideo, size: tuple[int, int], spec: Channel) -> tuple[int, ...]:
    """Return the shape of the images, that of the task or of the video.

    Raises:
        BadLog: The video has another size than the data set states, or is smaller than the task
            states.
    """
    height, width = size
    if video.shape and video.shape not in ((height, width, 3), (3, height, width)):
        raise BadLog(
            video.file,
            f"frames of {height} x {width} pixels",
            expected=f"{list(video.shape)}, as `{video.feature}` in meta/info.json",
            fix="copy the video again, or correct its shape in meta/info.json",
        )
    if height * width > LARGEST_PICTURE:
        problem = f"frames of {height} x {width} pixels"
        raise BadLog(video.file, problem, expected=f"at most {LARGEST_PICTURE} pixels")
    shape = spec.shape or (height, width, 3)
    if shape[0] > height or shape[1] > width:
        raise BadLog(
            video.file,
            f"frames of {height} x {width} pixels",
            expected=f"at least {shape[0]} x {shape[1]}, as set in the task",
            fix="set a smaller `shape` of the channel; videos are only scaled down",
        )
    return shape


def _pictures(
    video: EpisodeVideo, open_file: OpenVideo, times: Floats, shapes: tuple[int, ...]
) -> Iterator[Pictures]:
    """Yield the frame at each time, (H, W, 3) uint8.

    Args:
        video: file and times of the episode.
        open_file: function that opens a video by its path in the data set.
        times: rising times in the video (n,), s.
        shapes: height and width of the video, then height, width and colors of the images.

    Raises:
        BadLog: A time has no frame close enough, or a frame is damaged or of another size.
    """
    size, (height, width, _) = shapes[:2], shapes[2:]
    with open_file(video.file) as file, _decoding(video, file) as (container, stream):
        stream.thread_type = "AUTO"
        frames = _frames_from(container, stream, float(times[0]))
        for time, frame in zip(times, _nearest(video, frames, times), strict=True):
            if frame.is_corrupt or (frame.height, frame.width) != size:
                problem = f"a frame of {frame.height} x {frame.width} pixels"
                raise BadLog(
                    f"{video.file}, {time:.4f} s",
                    "a damaged frame" if frame.is_corrupt else problem,
                    expected=f"a whole frame of {size[0]} x {size[1]} pixels",
                    fix="copy the video again",
                )
            image = frame.to_ndarray(
                format="rgb24", width=width, height=height, interpolation=Interpolation.AREA
            )
            yield cast(Pictures, image)


def _nearest(
    video: EpisodeVideo, frames: Iterator[VideoFrame], times: Floats
) -> Iterator[VideoFrame]:
    """Yield the frame nearest to each time.

    Raises:
        BadLog: The nearest frame is more than a quarter of a frame away.
    """
    previous = None
    following = next(frames, None)
    for time in map(float, times):
        while following is not None and following.time < time:
            previous = following
            following = next(frames, None)
        near = [frame for frame in (previous, following) if frame is not None]
        frame = min(near, key=lambda candidate: abs(candidate.time - time), default=None)
        if frame is None or abs(frame.time - time) > TOLERANCE / video.fps:
            problem = f"the nearest frame is at {frame.time:.4f} s" if frame else "no frame"
            raise BadLog(
                f"{video.file}, {time:.4f} s",
                f"{problem}, where the video ends" if following is None and frame else problem,
                expected=f"a frame within {TOLERANCE / video.fps:.4f} s of each row",
                fix="copy the video again; if it lacks frames, record the episode again",
            )
        yield frame


def _frames_from(
    container: InputContainer, stream: VideoStream, time: float
) -> Iterator[VideoFrame]:
    """Yield the frames from one at or before a time, s, in the order in which they are shown."""
    start = max(0.0, time - MARGIN)
    container.seek(int(start / (stream.time_base or 1)), stream=stream)
    frames = container.decode(stream)
    first = next(frames, None)
    if start > 0.0 and (first is None or first.time > time):  # key frames are far apart
        container.seek(0, stream=stream)
        frames = container.decode(stream)
        first = next(frames, None)
    if first is not None:
        yield first
        yield from frames


@contextmanager
def _decoding(
    video: EpisodeVideo, file: IO[bytes]
) -> Generator[tuple[InputContainer, VideoStream]]:
    """Open a video; convert the errors of its decoder.

    Raises:
        BadLog: It is damaged, or shows no pictures.
    """
    try:
        with av.open(file, "r", format=CONTAINER) as container:
            if not container.streams.video:
                raise BadLog(video.file, "has no pictures", expected="a video stream in MP4")
            stream = container.streams.video[0]
            stream.codec_context.options = STRICT
            yield container, stream
    except FFmpegError as error:
        raise BadLog(
            video.file,
            f"is damaged ({error.strerror})",
            expected="an MP4 video in H.264, HEVC or AV1",
            fix="copy the video again",
        ) from error
