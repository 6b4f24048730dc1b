"""Fault injection: places where a test kills this process or fills its disk.

Nothing happens unless the environment asks for it:

- `KINEMILL_FAULT=store.sealed:3` kills the process (SIGKILL) when it passes there the third time;
- `KINEMILL_FAULT=error:store.sealed:3` raises there what a full disk raises, once;
- `KINEMILL_FAULT=read-only:store.sealed:3` raises there what a read-only file system raises, once;
- `KINEMILL_FAULT=count` only counts, see `passings`.

A name stands in one place of the code, as text, so that tests find all of them by reading it.
"""

import errno
import os
import signal
from collections import Counter
from threading import Lock

VARIABLE = "KINEMILL_FAULT"
_RAISED = {"error": errno.ENOSPC, "read-only": errno.EROFS}

_passed: Counter[str] = Counter()
_counting = Lock()


def fault_point(name: str) -> None:
    """Pass the place `name`: die there, or fail, if `KINEMILL_FAULT` says so.

    Raises:
        OSError: ENOSPC, asked for by `error:`, or EROFS, by `read-only:`.
    """
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return
    with _counting:
        _passed[name] += 1
        passing = f"{name}:{_passed[name]}"
    if asked == passing:
        os.kill(os.getpid(), signal.SIGKILL)
    how, _, where = asked.partition(":")
    if where == passing and how in _RAISED:
        raise OSError(_RAISED[how], os.strerror(_RAISED[how]), passing)


def passings() -> dict[str, int]:
    """Return how often each place was passed since this process began to count."""
    with _counting:
        return dict(sorted(_passed.items()))
