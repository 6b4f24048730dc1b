"""Code provenance: the commit of a checkout, or the installed version."""

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

CHANGED = "-dirty"  # suffix of a commit with uncommitted changes


def code() -> str:
    """Return the commit of the checkout, `-dirty` if changed; outside of git `kinemill VERSION`."""
    return git_commit() or f"kinemill {version('kinemill')}"


@cache
def git_commit() -> str | None:
    """Return the commit of the checkout that this kinemill is in, `-dirty` if changed; or None."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # installed; a repository above it is unrelated
        return None
    command = ["git", "describe", "--always", f"--dirty={CHANGED}", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # git is not installed
        return None
    return done.stdout.strip() or None
