"""Rollouts: a policy's episodes as logs that ingest reads, and as videos."""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.policies.environments.evaluation import Agent, bootstrap, try_policy
from kinemill.policies.environments.logs import write_episode
from kinemill.policies.environments.video import record_video
from kinemill.store import Json, publish_file
from kinemill.task.document import Task

AT_ONCE = 16  # episodes held in memory
RECORDED = 3  # episodes that are recorded
RATE = 15.0  # largest frame rate of a WebP image, Hz
MOST = 150  # frames of a WebP image
WIDE = 480  # its longer side, px
FASTEST = 50.0  # largest frame rate of a video, Hz


def roll_out(
    task: Task,
    policy: Agent,
    seeds: Sequence[int],
    folder: Path,
    *,
    variant: str | None = None,
    workers: int = 1,
) -> Iterator[Json]:
    """Let a policy act, write each episode as a log, and yield its seed, return, success and file.

    The episodes are the same for any number of workers.
    """
    for first in range(0, len(seeds), AT_ONCE):
        chunk = seeds[first : first + AT_ONCE]
        trials = try_policy(
            task, policy, chunk, variant=variant, workers=workers, record=len(chunk)
        )
        for episode in trials.episodes:
            yield {
                "seed": episode.seed,
                "return": episode.episode_return,
                "success": episode.success,
                "steps": len(episode.rewards),
                "file": str(write_episode(task, episode, folder)),
            }


def averages(episodes: Sequence[Json]) -> Json:
    """Return `episodes`, and their average `return` and `success` with 95 % intervals."""
    returns = [episode["return"] for episode in episodes]
    document: Json = {
        "return": float(np.mean(returns)),
        "return_interval": list(bootstrap(returns)),
        "success": None,
        "success_interval": None,
        "episodes": list(episodes),
    }
    if all(episode["success"] is not None for episode in episodes):
        successes = [float(episode["success"]) for episode in episodes]
        interval = list(bootstrap(successes))
        document |= {"success": float(np.mean(successes)), "success_interval": interval}
    return document


def record_videos(
    task: Task, policy: Agent, seeds: Sequence[int], folder: Path, *, variant: str | None = None
) -> list[str]:
    """Record the first episodes, each as WebP and MP4, and return their files.

    Raises:
        BadInput: the environment draws no pictures.
    """
    made = list[str]()
    for seed in seeds[:RECORDED]:
        video = record_video(task, policy, seed, variant=variant)
        if video is None:
            where = f"environment of {task.name}"
            raise BadInput(where, "draws no pictures", expected="render() -> (H, W, 3) uint8")
        dt = video.stride * task.dt
        for suffix, encode in ((".webp", animated_image), (".mp4", mp4)):
            path = folder / f"{task.name}-{seed:06d}{suffix}"
            publish_file(path, encode(video.pictures, dt))
            made.append(str(path))
    return made


def animated_image(frames: NDArray[np.uint8], dt: float) -> bytes:
    """Return an animated WebP image in an endless loop, in real time.

    Images of more than WIDE px are made smaller.

    Args:
        frames: (N, H, W, 3) uint8.
        dt: time between two frames, s.
    """
    from PIL import Image

    stride = max(1, round(1.0 / (RATE * dt)))
    frame_seconds = dt * stride
    images: list[Any] = [Image.fromarray(frame) for frame in frames[::stride][:MOST]]
    for picture in images:
        picture.thumbnail((WIDE, WIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    first, *rest = images
    duration = max(20, 10 * round(100 * frame_seconds))  # ms; browsers slow down shorter delays
    looped: dict[str, Any] = {"save_all": True, "append_images": rest, "loop": 0}
    first.save(file, "WEBP", duration=duration, quality=60, method=2, **looped)
    return file.getvalue()


def mp4(frames: NDArray[np.uint8], dt: float) -> bytes:
    """Return an H.264 video in real time; an odd last row or column is cut off.

    Args:
        frames: (N, H, W, 3) uint8.
        dt: time between two frames, s.
    """
    import av

    stride = max(1, round(1.0 / (FASTEST * dt)))
    height, width = (size - size % 2 for size in frames.shape[1:3])  # yuv420p halves both
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        rate = Fraction(1.0 / (dt * stride)).limit_denominator(1000)
        stream = container.add_stream("libx264", rate=rate, width=width, height=height)
        for frame in frames[::stride, :height, :width]:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()
