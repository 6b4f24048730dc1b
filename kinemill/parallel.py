"""Work on many items by all cores: on threads where they are large, else in processes.

Polars, numpy and hashing let other threads run while they look at much. Of a small log most of the
time is Python's, of which a process runs one thread at a time, however many cores there are.
"""

import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import islice
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

from kinemill.errors import ProcessLost
from kinemill.process import exit_with_parent, follow, without_ctrl_c

GROUP, GROUP_BYTES = 64, 1 << 28  # items brought to the disk at once, and their bytes

THREADS = 4  # large items in memory at a time, at most; polars uses all cores for each
SMALL = 1 << 20  # bytes; an item of less is a small one
MANY = 400  # small items from which on it pays to start processes, which takes a second
_AT_ONCE = 8  # items that a process is handed
_IDLE = 5.0  # s after which processes without work end

T = TypeVar("T")
R = TypeVar("R")


def in_groups(
    work: Callable[[T], R], items: Sequence[T], size: Callable[[T], int]
) -> Iterator[tuple[list[T], Iterator[R]]]:
    """Do `work` on all items, and yield groups of them with what came of each.

    Args:
        work: a function of a module, or a `partial` of one; see `in_processes`.
        items: in groups of as many as are brought to the disk at once, in their order; large ones
            before small ones where there are many of these.
        size: bytes of an item.

    Raises:
        ProcessLost: a process was ended from outside.
    """
    small = [item for item in items if size(item) < SMALL]
    apart = len(small) >= MANY
    large = [item for item in items if size(item) >= SMALL] if apart else items
    for group in _grouped(large, size):
        yield group, on_threads(work, group)
    if apart:
        with closing(in_processes(work, small)) as found:
            for group in _grouped(small, size):
                yield group, islice(found, len(group))


def _grouped(items: Sequence[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    group, total = list[T](), 0
    for item in items:
        group.append(item)
        total += size(item)
        if len(group) == GROUP or total >= GROUP_BYTES:
            yield group
            group, total = [], 0
    if group:
        yield group


def on_threads(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Do `work` on all items on a few threads, in order.

    No more than there are cores: more of them fill more memory at a time, and that costs most.
    """
    pool = ThreadPoolExecutor(max_workers=min(THREADS, max(2, os.cpu_count() or 1)))
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def in_processes(work: Callable[[T], R], items: Sequence[T]) -> Generator[R]:
    """Do `work` on all items in a process for each core, in order.

    What it is given, what it returns and what it raises travel from process to process; `work` is a
    function of a module, or a `partial` of one. The processes end soon after they have no more to
    do, and as soon as this one ends.

    Raises:
        ProcessLost: a process was ended from outside.
    """
    from joblib import Parallel, delayed

    # Of work that an error or a signal ends, joblib counts what was done for nothing.
    warnings.filterwarnings("ignore", r"\d+ tasks ", UserWarning, r"joblib\.parallel")
    shared_out: Any = Parallel  # whose types are guessed from its defaults
    parallel = shared_out(
        n_jobs=-1,
        return_as="generator",
        batch_size=_AT_ONCE,
        pre_dispatch=f"{2 * _AT_ONCE}*n_jobs",
        max_nbytes=None,
        idle_worker_timeout=_IDLE,
        initializer=_begin,
        initargs=(os.getpid(),),
    )
    try:
        with parallel:  # starts what tracks semaphores, which gives this thread its signals back
            with without_ctrl_c():  # the threads that start further processes inherit that, too
                found = parallel(delayed(work)(item) for item in items)
            yield from found
    except BrokenExecutor as error:
        raise _lost("one of the processes that read small logs") from error


@contextmanager
def worker_pool(count: int) -> Generator[ProcessPoolExecutor]:
    """Open a pool of processes, each on one thread, which end with this process.

    An error or a signal within ends the processes immediately, whatever they are doing.

    Raises:
        ProcessLost: a process was ended from outside.
    """
    before = set(active_children())
    pool = ProcessPoolExecutor(
        count, get_context("spawn"), initializer=_begin_single, initargs=(os.getpid(),)
    )
    try:
        yield pool
    except BaseException as error:
        for process in set(active_children()) - before:
            process.kill()
        if isinstance(error, BrokenExecutor):
            raise _lost("one of the processes that move environments") from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _lost(what: str) -> ProcessLost:
    return ProcessLost(
        what,
        "was ended from outside",
        expected="memory for a process on each core",
        fix="run again, which goes on where this ended",
    )


def _begin_single(parent: int) -> None:
    exit_with_parent(parent)
    os.environ["OMP_NUM_THREADS"] = "1"


def _begin(parent: int) -> None:
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # it has not been imported yet
    follow(parent)
