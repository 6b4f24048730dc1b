"""Which code made something."""

import subprocess
from functools import cache

from kinemill.home import project_root


@cache
def commit() -> str | None:
    """Return the checkout's git commit, `-dirty` when files differ from it, None outside git."""
    root = project_root()
    if root is None:
        return None
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None  # no git here, or no commit yet: a version then says `unknown`
    return found.stdout.strip()
