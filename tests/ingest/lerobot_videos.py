"""LeRobot data sets with videos, in which the brightness of a frame is its number."""

import json
import os
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
import polars as pl

CAMERA = "observation.images.top"
HEIGHT, WIDTH, FPS = 48, 64, 20
STEP = 5  # of brightness from frame to frame
CODECS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}


@contextmanager
def keep_scheduling():
    """Restore the scheduling policy: SVT-AV1 makes a process of root a real-time process.

    It would then starve all other processes of the machine until the tests end.
    """
    if not hasattr(os, "sched_getscheduler"):  # only Linux has scheduling policies
        yield
        return
    policy = os.sched_getscheduler(0)
    parameter = os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)


@keep_scheduling()
def encode(
    path, numbers, codec="h264", *, size=(HEIGHT, WIDTH), times=None, key_frames=12, clock=FPS
):
    """Write a video of frames with B-frames.

    Args:
        path: its file.
        numbers: number of each frame.
        codec: a key of `CODECS`.
        size: height and width.
        times: time of each frame, ticks; default: 0, 1, 2, ...
        key_frames: frames from one key frame to the next.
        clock: ticks per second.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"x265-params": "log-level=none"} if codec == "hevc" else {"crf": "10"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[codec], rate=clock, options=options)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = key_frames
        if codec != "av1":
            stream.codec_context.max_b_frames = 2
        for number, time in zip(numbers, times or range(len(numbers)), strict=True):
            level = np.full((*size, 3), 20 + STEP * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(level, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, clock)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def frame_numbers(images):
    """Return the number of each frame, (n, H, W, 3) uint8."""
    return np.rint((images.mean(axis=(1, 2, 3)) - 20) / STEP).astype(int).tolist()


def episode(number, rows, rng):
    seconds = (np.arange(rows) / FPS).astype(np.float32)
    state = np.cumsum(rng.normal(0.0, 0.05, (rows, 2)), axis=0).astype(np.float32)
    return pl.DataFrame(
        {
            "observation.state": state.tolist(),
            "action": (state + 0.1).tolist(),
            "timestamp": seconds,
            "frame_index": np.arange(rows),
            "episode_index": np.full(rows, number),
            "index": np.arange(rows) + rows * number,
            "task_index": np.zeros(rows, np.int64),
        }
    )


def write_info(folder, version, video_path, **more):
    motors = {"dtype": "float32", "shape": [2], "names": ["shoulder_pos", "elbow_pos"]}
    features = {
        "observation.state": motors,
        "action": motors,
        CAMERA: {"dtype": "video", "shape": [HEIGHT, WIDTH, 3], "names": ["height", "width"]},
    }
    info = {
        "codebase_version": version, "fps": FPS, "features": features, "video_path": video_path,
        "chunks_size": 1000, **more,
    }  # fmt: skip
    (folder / "meta").mkdir(parents=True, exist_ok=True)
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    line = {"task_index": 0, "task": "lift the cup"}
    (folder / "meta" / "tasks.jsonl").write_text(json.dumps(line) + "\n")


def version2(folder, episodes=4, rows=40, codec="h264"):
    """Write a data set of version 2.1: a Parquet file and a video for each episode."""
    path = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    write_info(folder, "v2.1", path)
    rng = np.random.default_rng(0)
    data = folder / "data" / "chunk-000"
    data.mkdir(parents=True)
    for number in range(episodes):
        episode(number, rows, rng).write_parquet(data / f"episode_{number:06}.parquet")
        encode(video2(folder, number), range(rows), codec)
    return folder


def video2(folder, number):
    return folder / "videos" / "chunk-000" / CAMERA / f"episode_{number:06}.mp4"


def version3(folder, episodes=4, rows=40, codec="h264"):
    """Write a data set of version 3: all episodes in one file, and two in each video."""
    path = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    write_info(folder, "v3.0", path)
    rng = np.random.default_rng(0)
    for name in ("data", "meta/episodes"):
        (folder / name / "chunk-000").mkdir(parents=True)
    frames = [episode(number, rows, rng) for number in range(episodes)]
    pl.concat(frames).write_parquet(folder / "data" / "chunk-000" / "file-000.parquet")
    lines = []
    for number in range(episodes):
        start = number % 2 * rows / FPS
        of_video = {
            "chunk_index": 0, "file_index": number // 2, "from_timestamp": start,
            "to_timestamp": start + rows / FPS,
        }  # fmt: skip
        of_video = {f"videos/{CAMERA}/{key}": value for key, value in of_video.items()}
        lines.append({"episode_index": number, "length": rows, **of_video})
    pl.DataFrame(lines).write_parquet(folder / "meta/episodes/chunk-000/file-000.parquet")
    for file in range((episodes + 1) // 2):
        encode(video3(folder, file), [*range(rows), *range(rows)], codec)
    return folder


def video3(folder, file):
    return folder / "videos" / CAMERA / "chunk-000" / f"file-{file:03}.mp4"
