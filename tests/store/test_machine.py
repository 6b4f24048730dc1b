"""Memory within the limits of containers, and cores."""

import sys

import psutil
import pytest

from kinemill.errors import BadInput
from kinemill.process import run_python
from kinemill.store.machine import GIB, Memory, check_processes, cores, host_memory


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A file system root of a host with 64 GiB, 60 of them free."""

    class Host:
        total, available = 64 * GIB, 60 * GIB

    monkeypatch.setattr(psutil, "virtual_memory", Host)
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def version_2(root, group, limit, usage, cache=0):
    folder = root / "sys/fs/cgroup" / group
    write(folder / "memory.max", limit)
    write(folder / "memory.current", usage)
    write(folder / "memory.stat", f"anon 1\ninactive_file {cache}")


def test_without_a_container_it_is_the_memory_of_the_host(root):
    assert host_memory(root) == Memory("the host", 4 * GIB, 64 * GIB)


def test_the_limit_of_a_container_holds_without_its_page_cache(root):
    write(root / "proc/self/cgroup", "0::/job.slice/7")
    version_2(root, "job.slice/7", 8 * GIB, 7 * GIB, cache=GIB)
    memory = host_memory(root)
    assert memory == Memory("the container", 6 * GIB, 8 * GIB)
    assert (memory.free, memory.share) == (2 * GIB, 0.75)
    assert str(memory) == "2.00 of 8.00 GiB of the container are free"


def test_the_tightest_limit_of_all_parents_holds(root):
    write(root / "proc/self/cgroup", "0::/job.slice/7")
    version_2(root, "job.slice/7", "max", GIB)
    version_2(root, "job.slice", 4 * GIB, GIB)
    assert host_memory(root).free == 3 * GIB


def test_a_path_that_does_not_exist_in_the_container_is_its_top(root):
    write(root / "proc/self/cgroup", "0::/docker/abc")
    version_2(root, "", 2 * GIB, GIB)
    assert host_memory(root).free == GIB


def test_version_1_has_other_files(root):
    write(root / "proc/self/cgroup", "5:devices:/x\n4:cpu,memory:/docker/abc\n0::/")
    folder = root / "sys/fs/cgroup/memory/docker/abc"
    write(folder / "memory.limit_in_bytes", 8 * GIB)
    write(folder / "memory.usage_in_bytes", 5 * GIB)
    write(folder / "memory.stat", f"cache 7\ntotal_inactive_file {2 * GIB}")
    assert host_memory(root) == Memory("the container", 3 * GIB, 8 * GIB)


def test_a_limit_above_the_memory_of_the_host_is_none(root):
    write(root / "proc/self/cgroup", "1:memory:/")
    folder = root / "sys/fs/cgroup/memory"
    write(folder / "memory.limit_in_bytes", 9223372036854771712)  # as version 1 says "unlimited"
    write(folder / "memory.usage_in_bytes", GIB)
    assert host_memory(root).what == "the host"


def test_this_machine_has_some_memory():
    memory = host_memory()
    assert 0 < memory.used < memory.total


def test_more_threads_than_cores_are_refused_with_what_to_set(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    assert cores() == 3
    check_processes("learn.threads", 3)
    check_processes("learn.threads", None)
    expected = (
        "learn.threads: is 4; this machine has 3 cores; expected at most 3; set learn.threads to 3"
    )
    with pytest.raises(BadInput, match=expected):
        check_processes("learn.threads", 4)
    check_processes("compute.processes", 12, each=4)
    with pytest.raises(BadInput, match="at most 12, 4 for each core"):
        check_processes("compute.processes", 13, each=4)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce the limit")
def test_an_allocation_beyond_the_limit_fails():
    code = (
        "from kinemill.store.machine import limit_memory\n"
        "limit = limit_memory(0.01)\n"
        "try: bytearray(2 * limit)\n"
        "except MemoryError: print('refused')"
    )
    assert run_python(["-c", code], 60.0).stdout == "refused\n"
