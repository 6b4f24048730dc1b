"""The web pages in one terminal: Dagster's webserver and daemon, and MLflow's pages.

Everything listens on this machine alone, unless told otherwise, and behind a guard
(`pipelines/auth`). Each server writes to a file of its own under the home;
when one ends by itself, its last lines are shown and all of them are stopped: nothing is started
again in silence. Ctrl-C, SIGTERM and a closed terminal stop every process, grandchildren included.
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
from pathlib import Path
from types import FrameType

import psutil

from kinemill.errors import BadInput
from kinemill.interrupts import Interrupted, resume
from kinemill.store import publish_json
from kinemill.store.home import Home
from kinemill.tracking import end_orphans, lock, tracking_uri
from pipelines.auth.login import Door
from pipelines.auth.users import Users, home_token
from pipelines.instance import checkout, open_instance
from pipelines.pools import set_limits

ADDRESSES = "addresses.json"  # of the pages, by name, beside the servers' logs: for the commands
_PORTS = 65536
_TRIES = 50  # ports looked at after the wanted one
_START = 120.0  # s a server may take until it answers
_GRACE = 15.0  # s for processes to end by themselves
_TAIL = 20  # lines shown of a server that ended
# Whether one of ours answers on this machine needs no certificate.
_UNSEEN = ssl._create_unverified_context()  # pyright: ignore[reportPrivateUsage]


@dataclass
class Server:
    """A process to keep: its name, what it runs, and where it answers, if it does."""

    name: str
    command: Sequence[str]
    url: str | None = None
    shown: str | None = None  # to people: the address from elsewhere
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)


class _Stop(BaseException):
    """Somebody wants us to end; no error, so no `except Exception` may catch it."""


def serve(*, dagster_port: int = 3000, mlflow_port: int = 5000, door: Door | None = None) -> int:
    """Serve until a signal; return the exit code 3 when a server ends without one.

    Args:
        dagster_port: for Dagster's pages; the next free one if it is taken.
        mlflow_port: for MLflow's pages, likewise.
        door: on what the pages are served, and to whom; default: to this machine.

    Raises:
        BadInput: this home is served already; two daemons would start everything twice. Or others
            could ask, and there is nobody who may log in.
        CorruptArtifact: a database of Dagster is damaged.
        Interrupted: a signal came; all servers are stopped.
    """
    home = Home.resolve()
    opened = (door or Door()).checked(Users(home))

    def refuse(who: str) -> None:
        known = home.dagster / "servers"
        raise BadInput(home.root, f"is served already ({who})", fix=f"its servers write to {known}")

    with lock(home, "up", refuse):
        return _serve(home, dagster_port, mlflow_port, opened)


def _serve(home: Home, dagster_port: int, mlflow_port: int, door: Door) -> int:
    with open_instance(home) as instance:
        set_limits(instance)
    end_orphans(home)  # opens the database too: made here once, so that no server races for it
    home_token(home)  # likewise
    ports = free_ports({"Dagster": dagster_port, "MLflow": mlflow_port}, door.host)
    servers = plan(home, ports[0], ports[1], door)
    logs = home.dagster / "servers"
    logs.mkdir(parents=True, exist_ok=True)
    with _stopped_by_signals():
        try:
            for server in servers:
                start(server, logs)
            _say(f"starting; each server writes to {logs}")
            _wait_for_answers(servers)
            publish_json(logs / ADDRESSES, {one.name: one.url for one in servers if one.url})
            for server in servers:
                if server.url:
                    _say(f"{server.name:<10} {server.shown or server.url}")
            for line in door.news():
                _say(line)
            _say("Ctrl-C stops all of it")
            return _watch(servers, logs)
        except _Stop as asked:
            _say("stopping")
            kept = "all servers are stopped, and runs in progress start again with the next server"
            raise Interrupted(f"{kept}; {resume()}") from asked
        finally:
            (logs / ADDRESSES).unlink(missing_ok=True)
            stop(servers)


def plan(home: Home, dagster_port: int, mlflow_port: int, door: Door) -> list[Server]:
    """Return the three servers; sets what they need to know in the environment."""
    workspace = str(checkout() / "workspace.yaml")
    ports = {"KINEMILL_MLFLOW_URL": mlflow_port, "KINEMILL_DAGSTER_URL": dagster_port}
    behind = any("://" in name for name in door.names)  # a proxy: who starts this says where
    for name, port in ports.items():
        os.environ[name] = (behind and os.environ.get(name)) or door.shown(port)
    os.environ |= {
        "MLFLOW_BACKEND_STORE_URI": tracking_uri(home),  # may hold a password: not in a command
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 1.29 GB otherwise, 0.54 GB without
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    return [
        _guarded("Dagster", "dagster_webserver", door, dagster_port),
        Server("daemon", [sys.executable, "-m", "dagster._daemon", "run", "-w", workspace]),
        _guarded("MLflow", "mlflow", door, mlflow_port),
    ]


def _guarded(name: str, server: str, door: Door, port: int) -> Server:
    command = [sys.executable, "-m", "pipelines.auth", server, *door.flags(port)]
    return Server(name, command, door.url(port), door.shown(port))


def free_ports(wanted: Mapping[str, int], host: str = "127.0.0.1") -> list[int]:
    """Return a free port for each server, reporting each one that is not the wanted one.

    Args:
        wanted: port by name of the server.
        host: address that they listen on.

    Raises:
        BadInput: a port and the next 50 are not to be had, or nobody can listen on the address.
    """
    found = list[int]()
    for name, port in wanted.items():
        free = free_port(port, host, found)
        if free != port:
            _say(f"{name}: port {port} cannot be used; the server listens on {free}")
        found.append(free)
    return found


def free_port(wanted: int, host: str = "127.0.0.1", taken: Sequence[int] = ()) -> int:
    """Return `wanted`, or the first port after it that nobody listens on.

    Args:
        wanted: port, 1 to 65535.
        host: address to listen on.
        taken: ports that are spoken for.

    Raises:
        BadInput: none of the next 50 is free, or nobody can listen on the address.
    """
    for port in range(wanted, min(wanted + _TRIES, _PORTS)):
        if port not in taken and _is_free(port, host):
            return port
    raise BadInput(
        f"port {wanted}", f"and the next {_TRIES} cannot be used", fix="give another one"
    )


def _is_free(port: int, host: str) -> bool:
    """Tell whether this user may listen on a port, and nobody else does.

    Raises:
        BadInput: it is the address that nobody can listen on.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            fix = "give an address of this machine, such as 127.0.0.1 or 0.0.0.0"
            raise BadInput(f"--host {host}", str(error.strerror or error), fix=fix) from error
    return True


def start(server: Server, logs: Path) -> None:
    """Start a server in a session of its own, its output in a file; it ends when we are killed."""
    with (logs / f"{server.name.lower()}.log").open("wb") as log:
        server.process = subprocess.Popen(
            [sys.executable, "-m", "kinemill.process", str(os.getpid()), *server.command],
            cwd=checkout(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_for_answers(servers: list[Server]) -> None:
    deadline = time.monotonic() + _START
    waiting = [server for server in servers if server.url]
    while waiting and time.monotonic() < deadline and not ended(servers):
        waiting = [server for server in waiting if not answers(str(server.url))]
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Tell whether a web server answers at `url`."""
    try:
        with urllib.request.urlopen(url, timeout=2, context=_UNSEEN):
            return True
    except urllib.error.HTTPError:
        return True  # it wants to know who asks
    except (urllib.error.URLError, OSError):
        return False


def ended(servers: list[Server]) -> list[Server]:
    """Return the servers whose process is gone."""
    return [server for server in servers if server.process and server.process.poll() is not None]


def _watch(servers: list[Server], logs: Path) -> int:
    while not (gone := ended(servers)):
        time.sleep(0.5)
    for server in gone:
        lines = (logs / f"{server.name.lower()}.log").read_text(errors="replace").splitlines()
        code = server.process.returncode if server.process else None
        _say(f"{server.name} ended with code {code}; it last said:")
        _say("\n".join(lines[-_TAIL:]))
    return 3


def stop(servers: list[Server]) -> None:
    """End all processes that grew from the servers: ask, wait, then make them."""
    started = {server.process.pid for server in servers if server.process is not None}
    family: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        # A server leads a session: what a killed one started, its code server, is still of that.
        if process.pid in started or _session(process.pid) in started:
            with suppress(psutil.NoSuchProcess):
                family |= {one.pid: one for one in (*process.children(recursive=True), process)}
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
                _send(process, ask)
        _, family = psutil.wait_procs(family, timeout=_GRACE / 2)
    for process in family:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(family, timeout=_GRACE)


def _send(process: psutil.Process, what: signal.Signals) -> None:
    try:
        process.send_signal(what)
    except psutil.NoSuchProcess:
        return  # it ended meanwhile, which is what we want


@contextmanager
def _stopped_by_signals() -> Generator[None]:
    def stop_now(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # once is enough
        raise _Stop

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop_now) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
