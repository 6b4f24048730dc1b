"""Data in and out of Python: frames as logs, and datasets as frames, arrays and tensors.

Example:
    import kinemill.data
    logs = kinemill.data.from_frames({"run1": frame}, units={"angle": "deg"}, time="seconds")
    dataset = kinemill.data.make_dataset(task, logs)
    dataset.to_polars("train")
"""

from kinemill.data.dataset import Dataset, make_dataset
from kinemill.data.frames import Frame, FrameLogs, from_frames

__all__ = ["Dataset", "Frame", "FrameLogs", "from_frames", "make_dataset"]
