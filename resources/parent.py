"""Processes that end with the one that started them, however that one ends.

`python -m resources.parent PARENT_PID COMMAND...` becomes COMMAND, which is asked to end (SIGTERM)
when process PARENT_PID does. Linux alone can do that for a command that is not ours.
"""

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = 1.0  # s, where the kernel does not tell


def die_with(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """End this process, by the signal `how`, as soon as process `parent` ends, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, how)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked to be told
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)


if __name__ == "__main__":
    die_with(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.argv[2], sys.argv[2:])
