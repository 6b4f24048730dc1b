"""Process many items on all cores: large items on threads, small ones in processes.

Polars, numpy and hashing release the GIL on large data. A small log spends most of its time in
Python code, where the GIL limits a process to one core.
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

GROUP = 64
GROUP_BYTES = 1 << 28  # items flushed to disk in one group, and their bytes

THREADS = 4  # maximum number of large items in memory; polars uses all cores for each
SMALL = 1 << 20  # bytes; smaller items are processed in processes
MANY = 400  # small items above which processes are faster: they take 1 s to start
_AT_ONCE = 8  # items per call to a process
_IDLE = 5.0  # s after which idle processes end

T = TypeVar("T")
R = TypeVar("R")


def in_groups(
    work: Callable[[T], R], items: Sequence[T], size: Callable[[T], int]
) -> Iterator[tuple[list[T], Iterator[R]]]:
    """Call `work` on all items, and yield groups of (item, result) pairs.

    Args:
        work: a function of a module, or a `partial` of one; see `in_processes`.
        items: yielded in order, grouped for one flush to disk; large items come first if there are
            many small ones.
        size: returns the bytes of an item.

    Raises:
        ProcessLost: A process was killed.
    """
    small = [item for item in items if size(item) < SMALL]
    apart = len(small) >= MANY
    large = [item for item in items if size(item) >= SMALL] if apart else items
    for group in _grouped(large, size):
        yield group, on_threads(work, group)
    if apart:
        with closing(in_processes(work, small)) as results:
            for group in _grouped(small, size):
                yield group, islice(results, len(group))


def _grouped(items: Sequence[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    group = list[T]()
    total = 0
    for item in items:
        group.append(item)
        total += size(item)
        if len(group) == GROUP or total >= GROUP_BYTES:
            yield group
            group = []
            total = 0
    if group:
        yield group


def on_threads(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Call `work` on all items on a few threads, in order.

    The number of threads is limited to the cores, since each item occupies memory.
    """
    pool = ThreadPoolExecutor(max_workers=min(THREADS, max(2, os.cpu_count() or 1)))
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def in_processes(work: Callable[[T], R], items: Sequence[T]) -> Generator[R]:
    """Call `work` on all items in one process per core, in order.

    Arguments, results and errors are pickled; `work` is a function of a module, or a `partial` of
    one. Idle processes end after 5 s, and immediately when this process ends.

    Raises:
        ProcessLost: A process was killed.
    """
    from joblib import Parallel, delayed

    # After an error or a signal, joblib warns about discarded results.
    warnings.filterwarnings("ignore", r"\d+ tasks ", UserWarning, r"joblib\.parallel")
    shared_out: Any = Parallel  # pyright infers wrong types from its defaults
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
        with parallel:  # starts the resource tracker, which unblocks this thread's signals
            with without_ctrl_c():  # also inherited by the threads that start more processes
                results = parallel(delayed(work)(item) for item in items)
            yield from results
    except BrokenExecutor as error:
        raise _lost("one of the processes that read small logs") from error


@contextmanager
def worker_pool(count: int) -> Generator[ProcessPoolExecutor]:
    """Open a pool of single-threaded processes, which end with this process.

    An error or a signal in the block ends the processes immediately.

    Raises:
        ProcessLost: A process was killed.
    """
    others = set(active_children())
    pool = ProcessPoolExecutor(
        count, get_context("spawn"), initializer=_begin_single, initargs=(os.getpid(),)
    )
    try:
        yield pool
    except BaseException as error:
        for process in set(active_children()) - others:
            process.kill()
        if isinstance(error, BrokenExecutor):
            raise _lost("one of the processes that move environments") from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _lost(what: str) -> ProcessLost:
    return ProcessLost(
        what,
        "was killed",
        expected="memory for a process on each core",
        fix="run the command again; it resumes where this run ended",
    )


def _begin_single(parent: int) -> None:
    exit_with_parent(parent)
    os.environ["OMP_NUM_THREADS"] = "1"


def _begin(parent: int) -> None:
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # must be set before polars is imported
    follow(parent)


def run_pair(foreground: Callable[[], object], background: Callable[[], object]) -> None:
    """Call one function in this thread and one in a second thread; return when both are done."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(background)
        foreground()
        other.result()
