"""Fault injection: places where a test kills this process or fills its disk.

Nothing happens unless the environment requests it:

- `KINEMILL_FAULT=store.sealed:3` kills the process (SIGKILL) at the third call;
- `KINEMILL_FAULT=error:store.sealed:3` raises the error of a full disk at the third call, once;
- `KINEMILL_FAULT=read-only:store.sealed:3` raises the error of a read-only file system, once;
- `KINEMILL_FAULT=count` only counts, see `passings`.

Each name occurs once in the code as a literal, so that tests can find all names.
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
    """Inject the fault `name` if `KINEMILL_FAULT` requests it.

    Raises:
        OSError: ENOSPC for `error:`, or EROFS for `read-only:`.
    """
    fault = os.environ.get(VARIABLE)
    if fault is None:
        return
    with _counting:
        _passed[name] += 1
        passing = f"{name}:{_passed[name]}"
    if fault == passing:
        os.kill(os.getpid(), signal.SIGKILL)
    how, _, where = fault.partition(":")
    if where == passing and how in _RAISED:
        raise OSError(_RAISED[how], os.strerror(_RAISED[how]), passing)


def passings() -> dict[str, int]:
    """Return the number of calls of each fault point in this process."""
    with _counting:
        return dict(sorted(_passed.items()))
