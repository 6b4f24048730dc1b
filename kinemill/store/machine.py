"""Cores and memory of this machine, within the limits of its container."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput

GIB = 2**30
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


@dataclass(frozen=True)
class Memory:
    """Memory of a host, a container or a GPU, bytes.

    Attributes:
        what: which memory, such as `the host`.
        used: in use; page cache that the kernel can drop is not.
        total: the most that can be used.
    """

    what: str
    used: int
    total: int

    @property
    def free(self) -> int:
        """Bytes that are not in use."""
        return max(0, self.total - self.used)

    @property
    def share(self) -> float:
        """Share in use, 0 to 1."""
        return self.used / self.total if self.total else 1.0

    def __str__(self) -> str:
        return f"{self.free / GIB:.2f} of {self.total / GIB:.2f} GiB of {self.what} are free"


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def host_memory(root: Path = Path("/")) -> Memory:
    """Return the memory of the host, or of the container if its limit leaves less."""
    import psutil

    host = psutil.virtual_memory()
    whole = Memory("the host", host.total - host.available, host.total)
    return min([whole, *_cgroups(root, host.total)], key=lambda cgroup: cgroup.free)


def limit_memory(share: float) -> int:
    """Limit the memory of this process to a share of the machine's, and return the limit, bytes.

    An allocation beyond it fails. Systems other than Linux do not enforce it.
    """
    import resource

    limit = int(share * host_memory().total)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return limit


def _cgroups(root: Path, most: int) -> Iterator[Memory]:
    """Yield the limits of the control groups of this process, version 1 and 2, below `most` bytes.

    The limits of all parents hold, too. In a container the path of `/proc/self/cgroup` may not
    exist; its own group is then mounted at the top.
    """
    groups = root / "proc/self/cgroup"
    for line in groups.read_text().splitlines() if groups.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount = root / "sys/fs/cgroup"
            names = _V2
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            names = _V1
        else:
            continue
        folder = mount / path.strip("/")
        for group in (folder, *folder.parents):
            if (memory := _limited(group, names)) and memory.total < most:
                yield memory
            if group == mount:
                break


def _limited(group: Path, names: tuple[str, str, str]) -> Memory | None:
    limit, usage, cache = names
    if not (group / limit).is_file() or not (group / usage).is_file():
        return None
    text = (group / limit).read_text().strip()
    if text == "max":
        return None
    used = int((group / usage).read_text()) - _stat(group / "memory.stat", cache)
    return Memory("the container", used, int(text))


def _stat(path: Path, name: str) -> int:
    """Return one number of `memory.stat`; 0 without it."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.split()[0] == name), 0)


def check_processes(setting: str, number: int | None, *, each: int = 1) -> None:
    """Pass if this machine has cores for a number of threads or processes.

    Args:
        setting: such as `learn.threads`.
        number: of threads or processes; None: the default.
        each: threads or processes that one core may have.

    Raises:
        BadInput: There are more.
    """
    most = each * cores()
    if number is not None and number > most:
        plural = f"{cores()} cores" if cores() > 1 else "1 core"
        expected = f"at most {most}" if each == 1 else f"at most {most}, {each} for each core"
        problem = f"is {number}; this machine has {plural}"
        raise BadInput(setting, problem, expected=expected, fix=f"set {setting} to {cores()}")
