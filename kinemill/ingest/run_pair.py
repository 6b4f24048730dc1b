"""Two halves of the work on one long log at once: the last of several leaves a core idle."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def run_pair(foreground: Callable[[], object], background: Callable[[], object]) -> None:
    """Do one thing in this thread and the other in one beside it, and wait for both."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(background)
        foreground()
        other.result()
