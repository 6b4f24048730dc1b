"""LeRobot data sets, versions 2.1 and 3: the episodes in a Parquet file under `data/`.

A file of version 2.1 is one episode, one of version 3 holds many: the parts `episode 7`, by
`episode_index`. Sources are elements of vectors: `observation.state[3]`, `action[0]`, in the order
of `meta/info.json` (`kinemill new` takes channel names from there); a vector of one element is
`action`. The Parquet files under `meta/` are not logs. Images of a camera are read from its video.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from kinemill.errors import BadLog
from kinemill.ingest.raw import TIME, Images, RawLog, Reason, reason, refused_part
from kinemill.ingest.readers._lerobot_videos import EpisodeVideo, camera_channels
from kinemill.ingest.readers._video_archive import VideoLog
from kinemill.task import Channel, Task

EPISODE, FRAME, STAMP = COUNTERS = ["episode_index", "frame_index", "timestamp"]
# float32 resolves a timestamp to a relative 6e-8; a rounded k / fps is within twice that.
ROUNDED = 1.2e-7


@dataclass(frozen=True)
class Cameras:
    """The image channels that are videos.

    Attributes:
        files: the log and its videos.
        channels: feature of each channel.
        videos: video by feature and number of the episode.
        specs: all channels of the task.
    """

    files: VideoLog
    channels: Mapping[str, str]
    videos: Mapping[tuple[str, int], EpisodeVideo]
    specs: Mapping[str, Channel]

    def add_to(self, log: RawLog, counters: pl.DataFrame) -> RawLog:
        """Return an episode with its images; a part without rows if a video cannot be used.

        Args:
            log: n rows of one episode.
            counters: the columns `COUNTERS` of the same rows, (n, 3).
        """
        if not self.channels or not counters.height:
            return log
        images = dict[str, Images]()
        refused = list[Reason]()
        for channel, feature in self.channels.items():
            try:
                images[channel] = self._images(channel, feature, counters)
            except BadLog as error:
                refused.append(_refusal(channel, error))
        if refused:
            return refused_part(log.part, refused)
        rows = pl.int_range(counters.height, eager=True).cast(pl.Float64)
        frame = log.frame.with_columns(rows.alias(channel) for channel in images)
        return replace(log, frame=frame, media={**log.media, **images})

    def _images(self, channel: str, feature: str, counters: pl.DataFrame) -> Images:
        from kinemill.ingest.readers._video import video_images

        episode = counters[EPISODE][0]
        if (video := self.videos.get((feature, episode))) is None:
            problem = f"has no video of episode {episode}"
            raise BadLog(feature, problem, expected="one for each episode")
        seconds = counters[STAMP].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return video_images(video, self.files.open_video, seconds, self.specs[channel])


def find_cameras(files: VideoLog, task: Task) -> Cameras:
    """Return the image channels of a task that are videos of a log."""
    features = {video.feature: video for video in files.videos}
    videos = {(video.feature, video.episode): video for video in files.videos}
    return Cameras(files, camera_channels(task, features), videos, task.channels)


def episodes(log: RawLog, counters: pl.DataFrame, cameras: Cameras) -> RawLog | list[RawLog]:
    """Return the episodes of a file, in the order of their indices.

    Args:
        log: all n rows of the file.
        counters: the columns `COUNTERS` of the same rows, (n, 3).
        cameras: image channels that are videos.
    """
    numbered = counters.select(EPISODE).with_row_index("row")
    groups = numbered.group_by(EPISODE).agg("row").sort(EPISODE)
    if groups.height < 2:
        return cameras.add_to(_episode(log, counters, log.part), counters)
    logs: list[RawLog] = []
    for number, rows in zip(groups[EPISODE], groups["row"], strict=True):
        episode = replace(log, frame=log.frame[rows.sort()])
        counts = counters[rows.sort()]
        logs.append(cameras.add_to(_episode(episode, counts, f"episode {number}"), counts))
    return logs


def _refusal(channel: str, error: BadLog) -> Reason:
    return reason(
        "media",
        error.where,
        error.problem,
        channel=channel,
        expected=error.expected or "a video of the episode",
        fix=error.fix or "copy the data set again",
    )


def _episode(log: RawLog, counters: pl.DataFrame, part: str) -> RawLog:
    stamps = log.frame[TIME]
    rate = _rate(counters[FRAME], counters[STAMP])
    if rate is None or not stamps.equals(counters[STAMP].cast(stamps.dtype)):
        return replace(log, part=part)
    # Exact times: float32 timestamps would be off the grid by a fraction of a microsecond.
    exact = counters[FRAME].cast(pl.Int64).alias(TIME)
    return replace(log, frame=log.frame.with_columns(exact), ticks=rate, part=part)


def _rate(frames: pl.Series, stamps: pl.Series) -> float | None:
    """Return the integer frame rate of the timestamps, Hz, or None."""
    if (
        frames.null_count()
        or stamps.null_count()
        or len(frames) < 2
        or not frames.dtype.is_integer()
    ):
        return None
    index = frames.to_numpy().astype(np.int64)
    seconds = stamps.to_numpy().astype(np.float64)
    span = seconds[-1] - seconds[0]
    rate = float(round((index[-1] - index[0]) / span)) if span > 0.0 else 0.0
    if rate < 1.0:
        return None
    made = index / rate
    return rate if bool(np.all(np.abs(seconds - made) <= ROUNDED * np.abs(made))) else None
