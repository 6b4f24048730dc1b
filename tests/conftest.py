"""Shared fixtures: the real logs next to the checkout, and a separate home."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache, partial
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import yaml
from alembic.config import Config
from alembic.script import ScriptDirectory
from filelock import FileLock
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, event

from kinemill.process import tune_process
from kinemill.store import atomic_write, to_json_value
from kinemill.store.home import Home
from kinemill.task import Task, load_task

tune_process()
# A shell that starts the tests in the background has Ctrl-C ignored, in all that they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine fails no test. Properties over code that takes long have fewer examples.
settings.register_profile(
    "busy", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")


# No test cuts the power, so nothing waits until what it wrote is on the disk.
os.fsync = lambda _handle: None
atomic_write._syncfs = lambda: None


@event.listens_for(Engine, "connect")
def _without_waiting_for_the_disk(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        with suppress(sqlite3.DatabaseError):  # a damaged file is for the test to find
            connection.execute("PRAGMA synchronous = OFF")


_read_scripts = ScriptDirectory.from_config
_scripts: dict[str, ScriptDirectory] = {}


def _kept_scripts(config: Config) -> ScriptDirectory:
    """Read the migrations of MLflow and Dagster once, not for each database that is opened."""
    location = str(config.get_main_option("script_location"))
    if location not in _scripts:
        _scripts[location] = _read_scripts(config)
    return _scripts[location]


ScriptDirectory.from_config = _kept_scripts

ROOT = Path(__file__).resolve().parents[1]
COLD_START = "kinemill.verify.cold_start.subprocess"
EXAMPLES = ROOT / "examples" / "tasks"
COMMAND = [sys.executable, "-c", "from kinemill.cli import main; main()"]
_POLICIES = re.compile(
    r"^ *(from|import) (gymnasium|kinemill\.policies|kinemill_walker|tests\.policies)", re.MULTILINE
)
os.environ["KINEMILL_TASKS"] = str(EXAMPLES)  # so that tests find the examples by name


def run_command(*arguments, **options) -> subprocess.CompletedProcess[str]:
    """Run `kinemill` with some arguments in a separate process."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def run_here(*arguments, **environment) -> subprocess.CompletedProcess[str]:
    """Run `kinemill` with some arguments in this process: another imports for a second or more."""
    from kinemill.cli.app import main

    out, err = StringIO(), StringIO()
    with (
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", ["kinemill", *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return subprocess.CompletedProcess(
        arguments, ended.value.code or 0, out.getvalue(), err.getvalue()
    )


@cache
def _uses_policies(path: Path) -> bool:
    folder = ROOT / "tests" / "policies"
    return path.is_relative_to(folder) or _POLICIES.search(path.read_text()) is not None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses policies, and begin with the files that take longest.

    No worker is then left with a long file at the end. Files that need the home of `first_run`
    follow those that do not: one worker makes it, and the others would wait for half a minute.
    """
    for item in items:
        if _uses_policies(item.path):
            item.add_marker("policies")
    long = {item.path for item in items if item.get_closest_marker("e2e")}
    waiting = {item.path for item in items if "first_run" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: (item.path not in long, item.path in long & waiting))


def leave_out_expectations(patch: pytest.MonkeyPatch) -> None:
    """Validate as if no episode failed an expectation: Great Expectations takes 1 s each time."""
    patch.setattr("kinemill.validate.checkpoint.run_checkpoint", lambda *_: [])


@pytest.fixture
def no_expectations(monkeypatch) -> None:
    """For tests with whole chains that are about something else."""
    leave_out_expectations(monkeypatch)


def verify_here(patch: pytest.MonkeyPatch) -> None:
    """Verify in this process, with few timed calls: another imports torch for seconds.

    No process measures a cold start, and the long rollout of a chain is a quarter as long.
    """
    from kinemill.verify import latency, stage

    def verify(_task, job):
        from kinemill.verify import dynamics
        from kinemill.verify.__main__ import _verify

        with patch.context() as shorter:
            shorter.setattr(dynamics, "LONG", 50)
            return to_json_value(_verify(job))

    times = '{"import_ms": 50, "load_ms": 5, "first_call_ms": 1, "second_call_ms": 0.5,'
    times += '"libraries_mb": 60, "model_mb": 1, "process_mb": 80}'
    done = subprocess.CompletedProcess((), 0, times, "")
    patch.setattr(COLD_START, SimpleNamespace(run=lambda *_, **__: done))
    patch.setattr(stage, "_run_process", verify)
    patch.setattr(latency, "BLOCK_SECONDS", 0.0)  # blocks of 30 calls
    patch.setattr(latency, "THROUGHPUT_SECONDS", 0.0)


def fit_few_references(patch: pytest.MonkeyPatch) -> None:
    """Fit references with three lengths of history in place of seven up to 80 rows."""
    patch.setattr("kinemill.selection.facts.HISTORIES", (1, 2, 10))


@pytest.fixture(scope="module", autouse=True)
def _quick_stages(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run no expectations and no verification process, but in modules marked for them."""
    if request.node.get_closest_marker("expectations") or request.node.get_closest_marker("e2e"):
        yield
        return
    with pytest.MonkeyPatch.context() as changes:
        leave_out_expectations(changes)
        verify_here(changes)
        fit_few_references(changes)
        yield


def learning_task(
    name: str,
    dt: float,
    channels: dict[str, dict[str, object]],
    learn: dict[str, object] | None = None,
    **parts: object,
) -> Task:
    """Return a task that learns dynamics by an MLP, unless `learn` says otherwise."""
    whole = {"type": "dynamics", "model": {"type": "mlp"}, **(learn or {})}
    document = {"task": name, "dt": dt, "channels": channels, "learn": whole, **parts}
    return Task.model_validate(document)


def load_task_in(
    folder: Path, content: str | dict[str, object], overrides: dict[str, object] | None = None
) -> Task:
    """Write a task file, given as its text or its keys, into a folder and load it."""
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    path = folder / f"{yaml.safe_load(text)['task']}.yaml"
    path.write_text(text)
    return load_task(path, overrides)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real logs, kept beside the checkout and never copied into it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real logs, ../shared/data, is not here")
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    """An empty home, also set as KINEMILL_HOME."""
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path / "home"))
    return Home.resolve()


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first worker of pytest-xdist fills by `make`, for all of them."""
    base = factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, finished = shared / name, shared / f"{name}.finished"
    with FileLock(shared / f"{name}.lock"):
        if not finished.exists():
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """MLflow's database, made once: making one takes seconds, copying it none."""
    from kinemill.tracking import open_tracking

    made = make_once(tmp_path_factory, "template", lambda folder: open_tracking(Home(folder)))
    return Home(made).mlflow_db


@pytest.fixture
def tracked_home(home, empty_database) -> Home:
    """A home whose MLflow database is there already."""
    home.root.mkdir(parents=True)
    shutil.copy(empty_database, home.mlflow_db)
    return home


@pytest.fixture(scope="session")
def policy_folders(tmp_path_factory):
    """The files of the policies of benchmarks/_policies.py, by class: exported when asked for."""
    from benchmarks._policies import published

    class Folders(dict):
        def __missing__(self, kind) -> Path:
            make = partial(published, kind())
            self[kind] = make_once(tmp_path_factory, f"policy-{kind.__name__}", make)
            return self[kind]

    return Folders()


@pytest.fixture(scope="session")
def step_folders(tmp_path_factory):
    """The files of a pendulum's step with random weights, by architecture; nobody may change them.

    Exporting one takes more than a second, so each is exported once.
    """
    from tests.export.conftest import published, random_step

    class Folders(dict):
        def __missing__(self, name) -> Path:
            make = partial(published, random_step(name))
            self[name] = make_once(tmp_path_factory, f"step-{name}", make)
            return self[name]

    return Folders()
