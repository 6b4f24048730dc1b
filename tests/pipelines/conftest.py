"""One small task, one home on which its chain has run, and servers on that home."""

import gc
import json
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from kinemill.register.run_summary import RunDocument
from kinemill.store import from_json_value, read_json, to_json_value
from kinemill.store.home import Home
from tests.conftest import fit_few_references, make_once, verify_here
from tests.dagster_internals import keep_engines

keep_engines()

TASK = "tiny"

# A cart-pole with the smallest network that still goes through every stage.
TINY = """\
task: tiny
description: A cart-pole for tests
dt: 0.02
channels:
  cart_position: {role: state, unit: m, source: qpos_cart, limits: [-1.6, 1.6]}
  pole_angle:    {role: state, kind: angle, unit: rad, source: qpos_pole}
  cart_velocity: {role: state, unit: m/s, derivative_of: cart_position, source: qvel_cart}
  pole_velocity: {role: state, unit: rad/s, derivative_of: pole_angle, source: qvel_pole}
  cart_force:    {role: action, unit: N, source: ctrl_cart, limits: [-10, 10]}
ingest: {time: timestamp, min_file_age: 0}
dataset: {validation: ["*0001*"], test: ["*0002*"]}
learn:
  type: dynamics
  model: {type: mlp, hidden_sizes: [16]}
  history: 3
  horizon: 4
  steps: 60
  batch_size: 64
  log_every: 10
  eval_every: 30
  save_every: 10
verify: {horizon: 6, stride: 20}
promote:
  beats: [champion]
  margin: 0.0
  interval: false
  allow_reference: false  # a network of 16 units and 60 steps loses to any linear model
  min_test_episodes: 1
  min_independent: 1
retrain: {cron: null}
"""

BROKEN = TINY.replace("task: tiny", "task: broken").replace("dt: 0.02", "dt: -1\nchanels: 3")


@dataclass(frozen=True)
class Workspace:
    """A home and the tasks beside it."""

    home: Home
    tasks: Path

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        """Make this the home and these the tasks."""
        patch.setenv("KINEMILL_HOME", str(self.home.root))
        patch.setenv("KINEMILL_TASKS", str(self.tasks))
        patch.setenv("DAGSTER_HOME", str(self.home.dagster))


OPTIONAL = [  # packages of the extras `policies` and `server`
    "gymnasium", "mujoco", "stable_baselines3", "sb3_contrib", "pygame", "Box2D", "imageio",
    "dagster_webserver", "dagster_graphql", "dagster_dg_cli",
]  # fmt: skip


def block_extras(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let imports of the optional packages fail, here and in the processes that start now."""
    for name in {*OPTIONAL, *sys.modules}:
        if name.partition(".")[0] in OPTIONAL:
            patch.setitem(sys.modules, name, None)
    folder.mkdir()
    start = f"import sys\nsys.modules.update(dict.fromkeys({OPTIONAL}))\n"
    (folder / "sitecustomize.py").write_text(start)
    patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def run_stages_here(patch: pytest.MonkeyPatch) -> None:
    """Let runs of this process train and verify in it."""
    from kinemill_dagster.resources import training, training_process
    from kinemill_dagster.resources.compute import local

    def train(context, job, _settings, tracker, _module):
        patch.setattr(training_process, "MessageTracker", lambda _: tracker)
        training_process.work(read_json(job), context)

    # On a thread, it exports while the training runs; in one process torch cannot do both.
    patch.setattr(training, "_load_exporter", lambda: None)
    patch.setattr(local, "watch", train)
    verify_here(patch)


@pytest.fixture(scope="session")
def tasks(tmp_path_factory) -> Path:
    """A folder of tasks: a small one, and one with mistakes."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "broken.yaml").write_text(BROKEN)
    return folder


@pytest.fixture(scope="session")
def logs(tmp_path_factory) -> Path:
    """Logs of a simulated cart-pole: good ones, and broken ones, and a copy under another name."""
    from kinemill.control.sim import write_logs

    folder = tmp_path_factory.mktemp("logs")
    write_logs(folder, "cart_pole", episodes=5, seconds=3.0, workers=1)
    return folder


@pytest.fixture(scope="session")
def first_run(tmp_path_factory, tasks, logs, empty_database) -> tuple[Workspace, RunDocument]:
    """A home on which the chain ran once, and the document of that run; nobody may change it.

    The run shows as well that dynamics tasks need no optional package. Its training and
    verification are in this process; tests of their processes start them.
    """
    from kinemill_dagster.pipelines.run import run_chain

    def make(folder):
        site = Workspace(Home(folder / "home"), tasks)
        shutil.copytree(logs, site.home.logs(TASK))
        shutil.copy(empty_database, site.home.mlflow_db)
        with pytest.MonkeyPatch.context() as patch:
            site.enter(patch)
            block_extras(patch, folder / "site")
            run_stages_here(patch)
            fit_few_references(patch)
            text = json.dumps(to_json_value(run_chain(TASK)))
        gc.collect()  # closes databases, so that their -wal files are empty
        (folder / "run.json").write_text(text)

    made = make_once(tmp_path_factory, "first-run", make)
    document = from_json_value(read_json(made / "run.json"), RunDocument, made / "run.json")
    return Workspace(Home(made / "home"), tasks), document


def copy_home(original: Home, root: Path) -> None:
    """Copy a home without the files that last as long as another process reads its databases."""
    shutil.copytree(original.root, root, ignore=shutil.ignore_patterns("*-wal", "*-shm"))


def messages_of_run(home: Home, run: str | None = None) -> list[str]:
    """Return the messages in Dagster's log of a run, by default of the latest."""
    from kinemill_dagster.pipelines.instance import open_instance

    with open_instance(home) as instance:
        run = run or instance.get_runs(limit=1)[0].run_id
        return [entry.user_message for entry in instance.all_logs(run)]


@pytest.fixture
def workspace(tmp_path, tasks, monkeypatch) -> Workspace:
    """An empty home with the tasks of the tests."""
    made = Workspace(Home(tmp_path / "home"), tasks)
    made.enter(monkeypatch)
    return made


@pytest.fixture
def copy(first_run, tmp_path, monkeypatch) -> Workspace:
    """A copy of the home on which the chain ran, to do with as one likes."""
    original, _ = first_run
    copy_home(original.home, tmp_path / "home")
    made = Workspace(Home(tmp_path / "home"), original.tasks)
    made.enter(monkeypatch)
    return made


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    """Train and verify in the process of the test: imports of two more processes take 10 s.

    For tests of what a run decides; other tests start the processes.
    """
    run_stages_here(monkeypatch)


@pytest.fixture
def task_gone_wrong(workspace, tmp_path, monkeypatch):
    """The job of a task whose file is changed after Dagster has loaded it: `make(old, new)`."""
    from kinemill.task import load_task
    from kinemill_dagster.pipelines.chain import chain_job

    def make(old, new):
        shutil.copytree(workspace.tasks, tmp_path / "tasks")
        monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path / "tasks"))
        job = chain_job(load_task(TASK))
        file = tmp_path / "tasks" / f"{TASK}.yaml"
        file.write_text(file.read_text().replace(old, new))
        return job

    return make


@pytest.fixture
def quick_hashes(monkeypatch):
    """Passwords are hashed at a thousandth of the cost; a server in another process knows none."""
    from kinemill_dagster.pipelines.server.auth import users

    monkeypatch.setattr(users, "_COST", {"n": 1 << 5, "r": 8, "p": 1})


def is_training(process):
    """Whether a process trains: one of ours that writes its log."""
    with suppress(psutil.NoSuchProcess):  # a zombie, or gone since it was listed
        logs = [Path(file.path).name for file in process.open_files()]
        is_ours = "kinemill_dagster.resources.training_process" in process.cmdline()
        return is_ours and "training.log" in logs
    return False
