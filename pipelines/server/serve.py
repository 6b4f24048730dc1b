"""Run the web servers: Dagster's webserver and daemon, and MLflow's pages.

All servers listen on loopback by default, behind a guard (`server/auth`). Each server logs to its
own file in the home. If one exits, its last lines are shown and all are stopped; nothing is
restarted silently. Ctrl-C, SIGTERM and a closed terminal stop every process, grandchildren
included.
"""

import errno
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import FrameType

import psutil

from kinemill.errors import BadInput
from kinemill.extras import require_package
from kinemill.interrupts import Interrupted, resume
from kinemill.store import publish_json
from kinemill.store.home import Home
from kinemill.store.project import WORKSPACE, require_project
from kinemill.tracking import end_orphans, lock, tracking_uri
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.pipelines.server.auth.login import Entrance
from kinemill_dagster.pipelines.server.auth.users import Users, home_token
from kinemill_dagster.pipelines.server.service import daemon_arguments
from kinemill_dagster.resources.links import ADDRESSES, address_of
from kinemill_dagster.resources.pools import set_limits
from kinemill_dagster.resources.processes import send, start_module

_PORTS = 65536
_TRIES = 50  # ports tried after the requested one
_START = 120.0  # s until a server has to answer
_GRACE = 15.0  # s for processes to exit
_TAIL = 20  # lines shown of a server that ended
# Checking our own servers on this machine needs no certificate.
_UNSEEN = ssl._create_unverified_context()  # pyright: ignore[reportPrivateUsage]


@dataclass
class Server:
    """A server process: name, command, and URL if any."""

    name: str
    command: Sequence[str]
    url: str | None = None
    public_url: str | None = None  # URL for users on other machines
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)


class _Stop(BaseException):
    """A signal requested the shutdown; not an Exception, so that no handler catches it."""


def serve(
    *, dagster_port: int = 3000, mlflow_port: int = 5000, entrance: Entrance | None = None
) -> int:
    """Serve until a signal; return exit code 3 if a server exits.

    The next free port is used if one is taken. Without `entrance`, only this machine is served.

    Raises:
        BadInput: The home is already served (two daemons would start everything twice), the
            options are invalid, or the extra `server` is not installed.
        CorruptArtifact: A database of Dagster is damaged.
        Interrupted: A signal arrived; all servers are stopped.
    """
    require_package("dagster_webserver", "kinemill ui")
    home = Home.resolve()
    opened = (entrance or Entrance()).checked(Users(home))

    def refuse(waiting: str) -> None:
        holder = waiting.partition(": ")[2]
        pages = address_of("Dagster", home)
        fix = f"open {pages}/" if pages else "wait until it prints the address of its pages"
        raise BadInput(home.root, f"is served already, {holder}", fix=fix)

    with lock(home, "up", refuse):
        return _serve(home, dagster_port, mlflow_port, opened)


def _serve(home: Home, dagster_port: int, mlflow_port: int, entrance: Entrance) -> int:
    with open_instance(home) as instance:
        set_limits(instance)
    end_orphans(home)  # creates the database as well, so that the servers do not race for it
    home_token(home)  # likewise
    ports = free_ports({"Dagster": dagster_port, "MLflow": mlflow_port}, entrance.host)
    return _run(home, plan(home, ports[0], ports[1], entrance), entrance)


def _run(home: Home, servers: list[Server], entrance: Entrance) -> int:
    """Run the servers until a signal, or until one exits."""
    logs = home.dagster / "servers"
    logs.mkdir(parents=True, exist_ok=True)
    with _stopped_by_signals():
        try:
            _log(f"starting; each server writes to {logs}")
            for server in servers:
                start(server, logs)
            waiting = _wait_for_answers(servers)
            publish_json(
                logs / ADDRESSES, {server.name: server.url for server in servers if server.url}
            )
            for server in servers:
                if server.url:
                    _log(f"{server.name:<10} {server.public_url or server.url}")
            pages = next(server for server in servers if server.name == "Dagster")
            _log(f"start page {pages.public_url or pages.url}/  champions, problems, next steps")
            for server in waiting:
                _log(f"{server.name} is still starting: open its page in a minute")
            for line in entrance.warnings():
                _log(line)
            _log("stop with Ctrl-C")
            return _watch(servers, logs)
        except _Stop as stop_request:
            _log("stopping")
            message = "all servers are stopped; runs in progress restart with the next server"
            raise Interrupted(f"{message}; {resume()}") from stop_request
        finally:
            (logs / ADDRESSES).unlink(missing_ok=True)
            stop(servers)


def plan(home: Home, dagster_port: int, mlflow_port: int, entrance: Entrance) -> list[Server]:
    """Return the servers in the order of their start, and set their environment variables."""
    root = require_project()
    workspace = str(root / WORKSPACE)
    ports = {"KINEMILL_MLFLOW_URL": mlflow_port, "KINEMILL_DAGSTER_URL": dagster_port}
    behind = any(
        "://" in name for name in entrance.names
    )  # behind a proxy the operator sets the address
    for name, port in ports.items():
        os.environ[name] = (behind and os.environ.get(name)) or entrance.public_url(port)
    os.environ |= {
        "KINEMILL_PROJECT": str(root),  # the servers run in another folder
        # The address may contain a password, so it is not in a command.
        "MLFLOW_BACKEND_STORE_URI": tracking_uri(home),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 1.29 GB otherwise, 0.54 GB without
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    pages = ["--workspace", workspace]
    return [
        _guarded("MLflow", "mlflow", entrance, mlflow_port),
        _guarded("Dagster", "dagster_webserver", entrance, dagster_port, pages),
        Server("daemon", [sys.executable, *daemon_arguments(workspace)]),
    ]


def _guarded(
    name: str, server: str, entrance: Entrance, port: int, more: Sequence[str] = ()
) -> Server:
    guard = [sys.executable, "-m", "kinemill_dagster.pipelines.server.auth"]
    command = [*guard, server, *entrance.flags(port), *more]
    return Server(name, command, entrance.url(port), entrance.public_url(port))


def free_ports(preferred: Mapping[str, int], host: str = "127.0.0.1") -> list[int]:
    """Return a free port for each server, and report ports that differ from the requested ones.

    Raises:
        BadInput: A port and the next 50 are not available, or the address is invalid.
    """
    ports = list[int]()
    for name, port in preferred.items():
        free = free_port(port, host, ports)
        if free != port:
            _log(f"{name}: port {port} cannot be used; the server listens on {free}")
        ports.append(free)
    return ports


def free_port(preferred: int, host: str = "127.0.0.1", excluded: Sequence[int] = ()) -> int:
    """Return `preferred`, or the next free port.

    Raises:
        BadInput: None of the next 50 is free, or the address is invalid.
    """
    for port in range(preferred, min(preferred + _TRIES, _PORTS)):
        if port not in excluded and _is_free(port, host):
            return port
    raise BadInput(
        f"port {preferred}", f"and the next {_TRIES} cannot be used", fix="choose another port"
    )


def _is_free(port: int, host: str) -> bool:
    """Return whether this user can listen on a port.

    Raises:
        BadInput: The address is invalid.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            fix = "choose an address of this machine, such as 127.0.0.1 or 0.0.0.0"
            raise BadInput(f"--host {host}", str(error.strerror or error), fix=fix) from error
    return True


def start(server: Server, logs: Path) -> None:
    """Start a server in its own session with output to a file; it exits if this process dies."""
    with (logs / f"{server.name.lower()}.log").open("wb") as log:
        module = ["kinemill.process", str(os.getpid()), *server.command]
        # Dagster would load `.env` of the project over this environment.
        server.process = start_module(module, log, folder=logs)


def _wait_for_answers(servers: list[Server]) -> list[Server]:
    """Wait until the servers answer, or one exits; return those that do not answer in time."""
    deadline = time.monotonic() + _START
    waiting = [server for server in servers if server.url]
    while waiting and time.monotonic() < deadline and not ended(servers):
        waiting = [server for server in waiting if not is_reachable(str(server.url))]
        time.sleep(0.2)
    return waiting


def is_reachable(url: str) -> bool:
    """Return whether a web server answers at `url`."""
    try:
        with urllib.request.urlopen(url, timeout=2, context=_UNSEEN):
            return True
    except urllib.error.HTTPError:
        return True  # it requires login
    except (OSError, HTTPException):  # another program may have the port
        return False


def ended(servers: list[Server]) -> list[Server]:
    """Return the servers whose process has exited."""
    return [server for server in servers if server.process and server.process.poll() is not None]


def _watch(servers: list[Server], logs: Path) -> int:
    while not (ended_servers := ended(servers)):
        time.sleep(0.5)
    for server in ended_servers:
        lines = (logs / f"{server.name.lower()}.log").read_text(errors="replace").splitlines()
        code = server.process.returncode if server.process else None
        _log(f"{server.name} exited with code {code}; last output:")
        _log("\n".join(lines[-_TAIL:]))
    return 3


def stop(servers: list[Server]) -> None:
    """Terminate all descendants of the servers; kill them after a grace period."""
    started = {server.process.pid for server in servers if server.process is not None}
    family: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        # A server leads a session, which still contains the code server of a killed one.
        if process.pid in started or _session(process.pid) in started:
            with suppress(psutil.NoSuchProcess):
                family |= {
                    child.pid: child for child in (*process.children(recursive=True), process)
                }
    _end(list(family.values()))


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _end(family: list[psutil.Process]) -> None:
    for ask in (signal.SIGINT, signal.SIGTERM):
        for process in family:
            if process.is_running():
                send(process, ask)
        _, family = psutil.wait_procs(family, timeout=_GRACE / 2)
    for process in family:
        send(process, signal.SIGKILL)
    psutil.wait_procs(family, timeout=_GRACE)


@contextmanager
def _stopped_by_signals() -> Generator[None]:
    def stop_now(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # ignore further signals
        raise _Stop

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, stop_now) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _log(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
