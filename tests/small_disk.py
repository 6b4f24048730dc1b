"""A file system of a few megabytes, and how to leave no room on it."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest


def mount(folder: Path, options: str) -> None:
    """Mount a file system in memory on a folder; skip the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a tmpfs")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no tmpfs here: {made.stderr.strip()}")


def fill(path: Path) -> None:
    """Write a file until there is no room."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
