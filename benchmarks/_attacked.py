"""Commands that `prove_attack` kills, bounds and observes, and small workspaces to run them on.

Commands are forked from a server that has imported their libraries, so that a kill meets work and
not imports.
"""

import atexit
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import EXAMPLES, largest_resident
from kinemill.control.sim import write_logs

TASK, LOOP = "tiny", "cart_pole_swing_up_loop"
TASK_FILE = f"""\
task: {TASK}
dt: 0.02
channels:
  cart_position: {{role: state, unit: m, source: qpos_cart}}
  pole_angle: {{role: state, kind: angle, unit: rad, source: qpos_pole}}
  cart_velocity: {{role: state, unit: m/s, derivative_of: cart_position, source: qvel_cart}}
  pole_velocity: {{role: state, unit: rad/s, derivative_of: pole_angle, source: qvel_pole}}
  cart_force: {{role: action, unit: N, source: ctrl_cart}}
ingest: {{time: timestamp, min_file_age: 0}}
dataset: {{validation: ["*0001*"], test: ["*0002*"]}}
learn:
  type: dynamics
  model: {{type: mlp, hidden_sizes: [16]}}
  history: 3
  horizon: 4
  steps: 60
  eval_every: 30
  save_every: 10
verify: {{horizon: 6, stride: 20}}
promote:
  beats: [champion]
  interval: false
  allow_reference: false
  min_test_episodes: 1
  min_independent: 1
retrain: {{cron: null}}
"""
KILLED = -int(signal.SIGKILL)
COMMAND = ("-c", "from kinemill.cli import main; main()")
_ADDRESS_SPACE = 6 << 30  # bytes; protects the machine from what a command reads
_PRELOADED = (  # none of them lets polars or torch start threads, which do not survive a fork
    "benchmarks.prove_attack",
    "great_expectations.expectations",
    "kinemill.api.progress",
    "kinemill.cli.app",
    "kinemill.export.step_files",
    "kinemill.register.promotion",
    "kinemill.train.objectives.dynamics",
    "kinemill.verify.stage",
    "kinemill_dagster.pipelines.run",
    "matplotlib.pyplot",
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking",
    "onnxscript.function_libs.torch_lib.ops",
    "optuna",
    "torch._dynamo",
    "torch.export._trace",
    "torch.onnx._internal.exporter._core",
    "benchmarks._preloaded",
)


@dataclass
class Row:
    """One row of the table: what was attacked, how often, and each try that did not hold."""

    attack: str
    attempts: int = 0
    failed: list[str] = field(default_factory=list[str])

    def add(self, name: str, problem: str, tries: int = 1) -> None:
        """Count tries; an empty problem means that they held."""
        self.attempts += tries
        if problem:
            self.failed.append(f"{name}: {problem}")
            sys.stderr.write(f"NOT HELD  {self.attack}: {self.failed[-1]}\n")


class Result(NamedTuple):
    """What came of a command: exit code, both outputs, s, and the peak of memory in MB."""

    code: int
    output: str
    errors: str
    seconds: float
    peak: float = 0.0

    def problem(self, codes: Sequence[int] = (0,)) -> str:
        """Return what is wrong with the end of a command, or an empty text."""
        if "Traceback (most recent" in self.errors or "This is a bug" in self.errors:
            return f"a traceback: {self.last_lines}"
        if self.code not in codes:
            return f"exit code {self.code} after {self.seconds:.0f} s: {self.last_lines}"
        return ""

    @property
    def last_lines(self) -> str:
        """The end of the error, for people."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return " / ".join(lines[-2:])[-300:] or "no message"

    def document(self) -> Any:
        """Return the JSON document of a command.

        Raises:
            ValueError: The command failed.
        """
        if problem := self.problem():
            raise ValueError(problem)
        return json.loads(self.output)


@dataclass(frozen=True)
class Workspace:
    """A folder with tasks, logs and a home."""

    folder: Path

    @property
    def home(self) -> Path:
        """Its home."""
        return self.folder / "home"

    @property
    def logs(self) -> Path:
        """Its logs, which no command may change."""
        return self.folder / "logs"

    def environment(self) -> dict[str, str]:
        """Return the variables that make commands use it."""
        return {"KINEMILL_HOME": str(self.home), "KINEMILL_TASKS": str(self.folder / "tasks")}

    def copy(self, folder: Path) -> "Workspace":
        """Return a copy in a missing folder."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Workspace(folder)


def new_workspace(folder: Path, logs: int = 4) -> Workspace:
    """Make tasks and logs of a simulated cart-pole; the home is empty."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks" / f"{TASK}.yaml").write_text(TASK_FILE)
    shutil.copy(EXAMPLES / f"{LOOP}.yaml", folder / "tasks")
    write_logs(folder / "logs", "cart_pole", episodes=logs, seconds=1.5, workers=1)
    for path in (folder / "logs").glob("broken*"):
        path.unlink()
    return Workspace(folder)


def run_cold(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    patience: float = 120.0,
    python: Sequence[str] = COMMAND,
) -> Result:
    """Run a command in a new process; after `patience` s its group is killed."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *python, *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            preexec_fn=_limit_memory,  # noqa: PLW1509 - nothing else runs before exec
        )
        timer = threading.Timer(patience, _kill_group, (process.pid,))
        timer.start()
        peak = 0.0
        while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            peak = largest_resident(process.pid) or peak
            time.sleep(0.01)
        _, status = os.waitpid(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        _kill_group(process.pid)
        for file in (output, errors):
            file.seek(0)
        out, err = (file.read().decode(errors="replace") for file in (output, errors))
    return Result(process.returncode, out, err, seconds, peak)


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


class Commands:
    """Runs commands in forked processes, whose outputs go to a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_PRELOADED))

    def run(
        self,
        workspace: Workspace,
        *arguments: str,
        patience: float = 300.0,
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command, which is killed after `patience` s without its children."""
        variables = workspace.environment() | (environment or {})
        return self._fork(_work, arguments, variables, patience)

    def documents(self, workspace: Workspace, *commands: Sequence[str]) -> list[Any]:
        """Run commands that print JSON, one after the other in one process; return the documents.

        A command that fails has the document `{"problem": text}`.

        Raises:
            ValueError: The process failed.
        """
        document: list[Any] = self._fork(_read, commands, workspace.environment(), 300.0).document()
        return document

    def _fork(
        self,
        work: Callable[..., None],
        arguments: object,
        environment: Mapping[str, str],
        patience: float,
    ) -> Result:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        process = self._context.Process(target=work, args=(arguments, environment, folder))
        began = time.monotonic()
        process.start()
        # Each start polls all processes of this list; in another thread it would take the exit code
        # of this one, which would then read as 255.
        multiprocessing.process._children.discard(process)  # pyright: ignore
        process.join(patience)
        if process.is_alive():
            process.kill()
        process.join()
        seconds = time.monotonic() - began
        texts = {path.name: path.read_text(errors="replace") for path in folder.glob("[12]")}
        shutil.rmtree(folder)
        output, errors = (texts.get(name, "") for name in "12")
        return Result(process.exitcode or 0, output, errors, seconds)


def _read(commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path) -> None:
    """Print the documents of commands as one list."""
    from typer.testing import CliRunner

    from kinemill.cli.app import app

    _enter(environment, folder)
    results = [CliRunner().invoke(app, [*arguments, "--json"]) for arguments in commands]
    documents = [
        {"problem": f"{result.stderr}{result.exception or ''}"}
        if result.exit_code
        else json.loads(result.stdout)
        for result in results
    ]
    print(json.dumps(documents), flush=True)


def _enter(environment: Mapping[str, str], folder: Path) -> None:
    """Make this process one of a workspace whose outputs go to a folder."""
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(os.open(folder / str(descriptor), os.O_CREAT | os.O_WRONLY), descriptor)
    os.environ.update({"OMP_NUM_THREADS": "1", **environment})
    os.chdir(folder)


def _work(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    """Run the command line of kinemill in this process."""
    from kinemill.cli import main

    _enter(environment, folder)
    sys.argv = ["kinemill", *arguments]
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  # a process of multiprocessing does not


@contextmanager
def changed_environment() -> Generator[None]:
    """Take back what a block changes in the environment of this process."""
    previous = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(previous)


def tree_digest(folder: Path, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Return a hash of each file of a folder; relative paths that begin so are left out."""
    digests: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(without or "\0"):
            is_file = path.is_file() and not path.is_symlink()
            digests[name] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "other"
    return digests


def changed(previous: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return what differs between two digests of a folder, or an empty text."""
    names = sorted({name for name, _ in previous.items() ^ after.items()})
    return f"changed {', '.join(names[:5])}" if names else ""
