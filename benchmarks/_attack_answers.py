"""A registry that answers `model pull` with what no registry would."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

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
from tests.hostile_server import ANSWERS, hostile_server, listed

_PATIENCE = 90.0  # s for an answer without end
_SURVIVAL = 20.0  # s until a second request shows that --watch has survived the first answer
_AT_ONCE = 4
_RUNTIME = ("-m", "kinemill.runtime")
_SIBLINGS = ("code/main.py", "config/arm.yaml", "models/leg/step.onnx", "documents/a", "photos/b")
# One answer without end is like another to a client with limits, and takes it half a minute.
_ENDLESS = {"endless chunks", "endless header", "slow header", "slow chunk size", "silence"}
REPLIES = {name: response for name, response in ANSWERS.items() if name not in _ENDLESS}


@contextmanager
def _registry(response: Any) -> Generator[tuple[str, list[str]]]:
    """Give one response to all requests; yield the address and the paths that were requested."""
    paths: list[str] = []

    def reply(connection: Any, path: str) -> None:
        paths.append(path)
        if isinstance(response, bytes):
            connection.sendall(response)
        else:
            response(connection, path)

    with hostile_server(reply) as server:
        yield server.url, paths


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
    files = {path.name: path.read_bytes() for path in bundle.iterdir()}
    with _registry(listed(files["sha256sums"], **files)) as (address, _):
        result = _runtime_pull(address, target)
    row.add("valid", result.problem() or changed(previous, _surroundings(folder)))
    return [row]
