"""A registry that answers `model pull` with what no registry would."""

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks._attacked import (
    TASK,
    Commands,
    Result,
    Row,
    Workspace,
    changed,
    run_cold,
    tree_digest,
)

_PATIENCE = 90.0  # s for an answer without end
_SURVIVAL = 20.0  # s until a second request shows that --watch has survived the first answer
_AT_ONCE = 4
_RUNTIME = ("-m", "kinemill.runtime")
_SUMS = "0" * 64
_SIBLINGS = ("code/main.py", "config/arm.yaml", "models/leg/step.onnx", "documents/a", "photos/b")

Reply = Callable[[BaseHTTPRequestHandler], None]


def _send(body: bytes, status: int = 200, **headers: str) -> Reply:
    def reply(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return reply


def _raw(content: bytes) -> Reply:
    def reply(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(content)

    return reply


def _endless(part: bytes, pause: float) -> Reply:
    def reply(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        until = time.monotonic() + 2 * _PATIENCE
        while time.monotonic() < until:
            request.wfile.write(part)
            time.sleep(pause)

    return reply


def _version(**fields: object) -> Reply:
    reply = {"version": 1, "sums": _SUMS, "provisional": "", **fields}
    return _send(json.dumps(reply).encode())


_TEXTS: tuple[object, ...] = (
    *("a/../../../x", "../../../x", "/../../leg", "..", "", "a" * 63, "g" * 64, "a" * 300),
    *("a\0b" + "a" * 61, "é" * 64, "a" * 63 + "\n", 5, None, ["a"], {"a": 1}),
)
_NUMBERS: tuple[object, ...] = (
    *("a", "1/../../x", -1, 0, 1.5, True, None, [], 10**400, "٣", " 1", "1_0"),
)
_BODIES = {
    "an empty object": b"{}",
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "NaN": b"NaN",
    "no JSON": b"{version: 1}",
    "no UTF-8": b'{"version": "\xff"}',
    "no body": b"",
    "a captive portal": b"<html><h1>Log in to the wireless network</h1></html>",
    "brackets 100,000 deep": b"[" * 100_000,
}
RESOLVE: dict[str, Reply] = {
    **{f"sums {value!r:.30}": _version(sums=value) for value in _TEXTS},
    **{f"version {value!r:.30}": _version(version=value) for value in _NUMBERS},
    **{name: _send(body) for name, body in _BODIES.items()},
    "provisional is a list": _version(provisional=["\x1b[2J"]),
    "a body without end": _endless(b" " * (1 << 20), 0.0),
    "a byte each second, without end": _endless(b" ", 1.0),
    "a body that is cut": _raw(b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    "a redirect to itself": _send(b"", 302, Location="/api/v1/models/tiny/@champion/resolve?"),
    "a redirect to a file": _send(b"", 302, Location="file:///etc/passwd"),
    "500": _send(b"broken", 500),
    "404 with a page": _send(b"<html>", 404),
    "404 with control characters": _send(b'{"message": "\\u001b[2J\\u202ex"}', 404),
    "404 with a list": _send(b'{"message": [1]}', 404),
    "no HTTP": _raw(b"\x00\xff garbage\r\n\r\n"),
    "nothing": _raw(b""),
    "a header of 200 kB": _raw(b"HTTP/1.0 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n"),
    "1,000 headers": _raw(b"HTTP/1.0 200 OK\r\n" + b"X: a\r\n" * 1000 + b"\r\n"),
}
_LISTS = {
    "names ../": f"{_SUMS}  ../../../code/main.py\n",
    "names a root": f"{_SUMS}  /tmp/kinemill-attack\n",
    "names NUL": f"{_SUMS}  a\0b\n",
    "names 300 letters": f"{_SUMS}  {'a' * 300}\n",
    "names the folder": f"{_SUMS}  .\n",
    "names a file and a folder alike": f"{_SUMS}  a\n{_SUMS}  a/b\n",
    "names itself": f"{_SUMS}  sha256sums\n",
    "is empty": "",
    "is no list": "\x00\x01\x02",
    "has 100,000 names": "".join(f"{_SUMS}  f{number}\n" for number in range(100_000)),
    "names a file that is no model": f"{hashlib.sha256(b'x').hexdigest()}  step.onnx\n",
}


def _bundle(files: Mapping[str, bytes]) -> Reply:
    """Serve a version with these files; all that is not listed is the one letter x."""
    digest = hashlib.sha256(files["sha256sums"]).hexdigest()

    def reply(request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        if path.endswith("/resolve"):
            _version(sums=digest)(request)
        elif "/files/" in path:
            _send(files.get(path.partition("/files/")[2], b"x"))(request)
        else:
            _send(b"{}")(request)

    return reply


REPLIES = RESOLVE | {
    f"sha256sums {name}": _bundle({"sha256sums": text.encode()}) for name, text in _LISTS.items()
}


@contextmanager
def _registry(reply: Reply) -> Generator[tuple[str, list[str]]]:
    """Serve one answer to all requests; yield the address and the paths that were requested."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            with suppress(OSError):  # the client has closed the connection
                reply(self)
            self.close_connection = True

        do_POST = do_GET  # noqa: N815 - the name that the base class looks up

        def log_message(self, *_: object) -> None:  # type: ignore[override]
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        server.server_close()


def _robot(folder: Path) -> Path:
    """Make the folders of a robot; return where its model belongs."""
    for name in _SIBLINGS:
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(name)
    return folder / "models" / "arm"


def _surroundings(robot: Path) -> dict[str, str]:
    """Return a digest of all folders of a robot except those of the model."""
    return tree_digest(robot, ("models/arm", "models/.arm"))


def _runtime_pull(address: str, target: Path) -> Result:
    arguments = ["pull", address, f"{TASK}@champion", "--to", str(target)]
    return run_cold(arguments, {}, _PATIENCE, _RUNTIME)


def _model_pull(commands: Commands, folder: Path, address: str, target: Path) -> Result:
    arguments = ["model", "pull", f"{TASK}@champion", "--to", str(target), "--from", address]
    workspace = Workspace(folder.with_name(f"{folder.name} mill"))
    return commands.run(workspace, *arguments, patience=_PATIENCE)


def _pull(name: str, folder: Path, pull: Callable[[str, Path], Result]) -> str:
    """Pull from one hostile answer; return what is wrong."""
    target = _robot(folder)
    previous = _surroundings(folder)
    with _registry(REPLIES[name]) as (address, _):
        result = pull(address, target)
    problem = changed(previous, _surroundings(folder)) or result.problem((1, 2, 3))
    if not problem and "\x1b" in result.errors:
        problem = "control characters reach the terminal"
    return problem or ("a model is installed" if target.exists() else "")


def _watch(name: str, folder: Path) -> str:
    """Watch one hostile answer until the second request, or a time; return what is wrong."""
    target = _robot(folder)
    previous = _surroundings(folder)
    with _registry(REPLIES[name]) as (address, paths), (folder / "log").open("w+") as log:
        command = [sys.executable, *_RUNTIME, "pull", address, f"{TASK}@champion"]
        command += ["--to", str(target), "--watch", "--every", "0.1"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + _SURVIVAL
        while process.poll() is None and time.monotonic() < until:
            if sum("/resolve" in path for path in paths) > 1 and "redirect" not in name:
                break
            time.sleep(0.02)
        ended = process.poll()
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
        process.kill()
        code = process.wait()
        log.seek(0)
        lines = [line for line in log.read().splitlines() if line.strip()]
    (folder / "log").unlink()
    if ended is not None:
        return f"--watch ends with {ended}: {lines[-1] if lines else 'no message'}"
    if code not in {0, 143, -signal.SIGTERM} or any("Traceback" in line for line in lines):
        return f"ends with {code} after SIGTERM: {lines[-1] if lines else 'no message'}"
    return changed(previous, _surroundings(folder))


CLIENTS: dict[str, Callable[[Commands, str, Path], str]] = {
    "runtime pull": lambda _, name, folder: _pull(name, folder, _runtime_pull),
    "model pull": lambda commands, name, folder: _pull(
        name, folder, partial(_model_pull, commands, folder)
    ),
    "runtime pull --watch": lambda _, name, folder: _watch(name, folder),
}


def attack_registry(
    commands: Commands, folder: Path, names: list[str], clients: Sequence[str]
) -> list[Row]:
    """Pull from hostile answers with each client."""
    rows: list[Row] = []
    for client in clients:
        rows.append(Row(f"{client} of a hostile registry"))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            folders = [folder / client / str(number) for number in range(len(names))]
            problems = pool.map(partial(CLIENTS[client], commands), names, folders)
            for name, problem in zip(names, problems, strict=True):
                rows[-1].add(name, problem)
    return rows


def install_valid(folder: Path, bundle: Path) -> list[Row]:
    """Pull a valid model, as a control: a client that refuses everything would hold, too."""
    row, target = Row("control: pull of a valid model"), _robot(folder)
    previous = _surroundings(folder)
    files = [path for path in bundle.rglob("*") if path.is_file()]
    content = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in files}
    with _registry(_bundle(content)) as (address, _):
        result = _runtime_pull(address, target)
    row.add("valid", result.problem() or changed(previous, _surroundings(folder)))
    return [row]
