"""One code server for the webserver and the daemon, which load the definitions once.

With a Python module in the workspace, each of them starts a separate code server, and the daemon
replaces its server every 60 s: with 10 tasks that is half of the idle processor time, and 200 tasks
are not loaded within 60 s. Here both are clients of one server, `dagster code-server`, on a Unix
socket that only this user can open. It loads them again when a task file changed, or when the
process that holds the definitions ended.
"""

import shutil
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from kinemill.errors import KinemillError
from kinemill.store import Json, publish_file
from kinemill.store.project import DEFS, WORKSPACE
from kinemill.task import list_tasks
from kinemill_dagster.resources.dagster_api import reload_code

MODULE = "kinemill_dagster.pipelines.definitions"
_INTERVAL = 5.0  # s between two looks at the task files and at the process
_PATHS = ("relative_path", "working_directory")  # keys of a workspace file relative to its folder
_SOURCES = {".py", ".yaml", ".yml"}  # in `defs/`; Python adds compiled files
Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class CodeServer:
    """The code server of a project.

    Attributes:
        project: folder of the project.
        folder: new folder for the socket and the workspace file, for this user only.
    """

    project: Path
    folder: Path
    location: str

    @property
    def socket(self) -> Path:
        """The Unix socket; its path may have 107 characters at most."""
        return self.folder / "code"

    @property
    def workspace(self) -> Path:
        """The workspace file of webserver and daemon."""
        return self.folder / WORKSPACE

    def command(self) -> list[str]:
        """Return the command that starts the server."""
        start = [sys.executable, "-m", "dagster", "code-server", "start"]
        where = ["--socket", str(self.socket), "--location-name", self.location]
        return [*start, *where, "--inject-env-vars-from-instance", "-m", MODULE]

    def write_workspace(self) -> None:
        """Write the project's workspace file with this server in place of the module."""
        entries = [self._entry(one) for one in _entries(self.project)]
        publish_file(self.workspace, yaml.safe_dump({"load_from": entries}).encode())

    def _entry(self, entry: Mapping[str, object]) -> Json:
        if _location(entry) is not None:
            return {"grpc_server": {"socket": str(self.socket), "location_name": self.location}}
        return {kind: self._absolute(settings) for kind, settings in entry.items()}

    def _absolute(self, settings: object) -> object:
        if not isinstance(settings, dict):
            return settings
        paths = {key: str(self.project / settings[key]) for key in _PATHS if settings.get(key)}
        return settings | paths

    @contextmanager
    def kept_current(self, process: int) -> Generator[None]:
        """Reload the definitions in the background while the server runs as `process`."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._watch, args=(process, stopped), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()  # a reload in progress ends with the server

    def _watch(self, process: int, stopped: threading.Event) -> None:
        loaded = previous = definition_files(self.project)
        holder = newest_child(process)
        while not stopped.wait(_INTERVAL):
            files = definition_files(self.project)
            is_stable, previous = files == previous, files
            has_ended = holder is not None and not is_alive(holder)
            if (is_stable and files != loaded) or has_ended:
                reload_code(self.socket)
                loaded, holder = files, newest_child(process)


@contextmanager
def open_code_server(project: Path) -> Generator[CodeServer | None]:
    """Prepare the code server of a project; None if its workspace file does not list the module."""
    names = [name for entry in _entries(project) if (name := _location(entry))]
    if not names:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="kinemill-"))
    try:
        server = CodeServer(project, folder, names[0])
        server.write_workspace()
        yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _entries(project: Path) -> list[Json]:
    document: Any = yaml.safe_load((project / WORKSPACE).read_bytes()) or {}
    listed = document.get("load_from") or []
    return listed if isinstance(listed, list) else [listed]


def _location(entry: Mapping[str, object]) -> str | None:
    """Return the name of the code location if an entry of a workspace file is this program."""
    module: Any = entry.get("python_module")
    if module == MODULE:
        return MODULE
    if not isinstance(module, dict) or module.get("module_name") != MODULE:
        return None
    return module.get("location_name") or MODULE


def definition_files(project: Path) -> Signature:
    """Return the files that define tasks, each with time of change (ns) and size."""
    with suppress(KinemillError):  # two files of one name: the definitions report it
        code = [path for path in (project / DEFS).rglob("*.*") if path.suffix in _SOURCES]
        paths = {*list_tasks().values(), *code}
        return tuple(sorted(one for path in paths if (one := _signature(path))))
    return ()


def _signature(path: Path) -> tuple[str, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:  # deleted just now
        return None
    return (str(path), status.st_mtime_ns, status.st_size)


def newest_child(process: int) -> psutil.Process | None:
    """Return the child of the server that holds the definitions: older ones only end their runs."""
    with suppress(psutil.NoSuchProcess):
        return max(
            psutil.Process(process).children(), key=lambda one: one.create_time(), default=None
        )
    return None


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
