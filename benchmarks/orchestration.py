"""Overhead of Dagster, Pipes and processes in addition to the library's own work.

The chain is `kinemill run` in a separate process. The library is the same stages called one after
the other, also in a separate process. Both start from the same logs and home.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import EXAMPLES, ROOT, ROUNDS, Row, main, row
from kinemill.control.sim import write_logs
from kinemill.process import tune_process

TASK = "cart_pole"
OVERRIDES = {"learn.steps": 200, "learn.compile": "off"}  # what is beside the training is measured
SERVED = 50  # tasks of the code location
IDLE = 60.0  # s that the pages are left alone before their memory is read
_LOAD_DEFINITIONS = (
    "from kinemill_dagster.pipelines.definitions import defs; defs.get_repository_def()"
)


def measure() -> list[Row]:
    """Return seconds of the chain and the library, of loading definitions, and MB of the pages."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tasks = _tasks(folder / "tasks")
        return [*_overhead(folder), *_definitions(folder, tasks), *_servers(folder, tasks)]


def _overhead(folder: Path) -> list[Row]:
    """Time the day's work of a home that is there already: new logs have come, all else is set up.

    Each run works on a copy of that home, which a short run on other logs has made.
    """
    first_logs = folder / "before"
    logs = folder / "logs"
    existing_home = folder / "standing"
    write_logs(first_logs, TASK, seed=1)
    write_logs(logs, TASK, seed=2)
    kinemill = Path(sys.executable).parent / "kinemill"
    settings = [f"--set={key}={value}" for key, value in OVERRIDES.items()]
    _run(
        [kinemill, "run", TASK, "--logs", first_logs, "--set=learn.steps=20"], existing_home, (0, 1)
    )
    commands = {
        "chain": [kinemill, "run", TASK, "--logs", logs, *settings],
        "library": [sys.executable, "-m", "benchmarks.orchestration", "--library", logs],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            home = shutil.copytree(existing_home, folder / "home")
            seconds[name].append(_run(command, home, (0, 1)))  # the gate may refuse it
            shutil.rmtree(home)
    differences = [a - b for a, b in zip(*seconds.values(), strict=True)]
    own, others = (statistics.median(values) for values in seconds.values())
    return [
        row(f"pipeline of {TASK}, {OVERRIDES['learn.steps']} steps", "s", own, {"library": others}),
        row("pipeline minus library, median of pairs", "s", statistics.median(differences), {}),
        row("pipeline minus library, maximum of pairs", "s", max(differences), {}),
    ]


def _tasks(folder: Path) -> Path:
    folder.mkdir()
    text = (EXAMPLES / f"{TASK}.yaml").read_text()
    for number in range(SERVED):
        name = f"{TASK}_{number}"
        (folder / f"{name}.yaml").write_text(text.replace(f"task: {TASK}", f"task: {name}", 1))
    return folder


def _definitions(folder: Path, tasks: Path) -> list[Row]:
    command = [sys.executable, "-c", _LOAD_DEFINITIONS]
    imports = [sys.executable, "-c", "import dagster"]
    spent = [
        (_run(command, folder / "home", KINEMILL_TASKS=str(tasks)), _run(imports, folder / "home"))
        for _ in range(ROUNDS)
    ]
    own, others = (statistics.median(values) for values in zip(*spent, strict=True))
    return [row(f"load the definitions of {SERVED} tasks", "s", own, {"import dagster": others})]


def _servers(folder: Path, tasks: Path) -> list[Row]:
    """Return what all processes of `kinemill ui` use, servers and daemon, a minute after start."""
    command = [Path(sys.executable).parent / "kinemill", "ui", "--port", "3920"]
    with subprocess.Popen(
        [*map(str, command)],
        cwd=ROOT,
        env=_environment(folder / "served") | {"KINEMILL_TASKS": str(tasks)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as served:
        try:
            _until_serving(served)
            time.sleep(IDLE)
            family = [psutil.Process(served.pid), *psutil.Process(served.pid).children(True)]
            mega = sum(process.memory_full_info().pss for process in family) / 1e6
        finally:
            served.terminate()
            served.wait(60)
    return [row(f"servers of {SERVED} tasks, idle: {len(family)} processes, PSS", "MB", mega, {})]


def _until_serving(served: "subprocess.Popen[str]") -> None:
    for line in served.stderr or ():
        if "Ctrl-C" in line:
            return
    message = f"kinemill ui ended with code {served.wait()}"
    raise RuntimeError(message)


def _run(command, home, allowed=(0,), **environment) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [*map(str, command)],
        cwd=ROOT,
        env=_environment(home) | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    spent = time.perf_counter() - began
    if done.returncode not in allowed:
        message = f"{command} ended with code {done.returncode}: {done.stderr[-2000:]}"
        raise RuntimeError(message)
    return spent


def _environment(home) -> dict[str, str]:
    return {**os.environ, "KINEMILL_HOME": str(home), "KINEMILL_PROJECT": str(ROOT)}


def library(logs: Path) -> None:
    """Do what the chain does, without Dagster."""
    from kinemill.augment import stage as augment
    from kinemill.dataset import stage as dataset_stage
    from kinemill.export import stage as export
    from kinemill.ingest import stage as ingest
    from kinemill.register import Produced
    from kinemill.register import stage as register
    from kinemill.store.home import Home
    from kinemill.task import load_task
    from kinemill.task.protocols import NullReporter
    from kinemill.tracking import MlflowTracker, start_run
    from kinemill.train import stage as train
    from kinemill.validate import stage as validate
    from kinemill.verify import stage as verify

    task, home, quiet = load_task(TASK, OVERRIDES), Home.resolve(), NullReporter()
    recordings = ingest.run(task, home, logs, quiet).artifact.ref
    dataset = dataset_stage.run(task, home, validate.run(task, home, recordings, quiet).ref).ref
    training_set = augment.run(task, home, dataset).ref
    run = start_run(home, task.name, "benchmark", params={})
    tracker = MlflowTracker(home, run)
    model = train.run(task, home, dataset, training_set, (tracker, quiet)).ref
    tracker.end()
    onnx_model = export.run(task, home, model).ref
    verification = verify.run(task, home, onnx_model, model, dataset, quiet).ref
    register.run(task, home, Produced(verification, onnx_model, model, dataset, run_id=run))


if __name__ == "__main__":
    if "--library" in sys.argv:
        tune_process()
        library(Path(sys.argv[-1]))
    else:
        main("orchestration", measure)
