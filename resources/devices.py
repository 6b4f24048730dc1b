"""Accelerators of this machine, without importing torch, which takes a second."""

import os
import platform
import sys
from pathlib import Path

_DEVICES = Path("/dev")


def gpus() -> int:
    """Return the number of GPUs for trainings: visible NVIDIA GPUs, or one of Apple."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in {"", "-1"}])
    if sys.platform == "darwin":
        return int(platform.machine() == "arm64")
    return len(list(_DEVICES.glob("nvidia[0-9]*")))
