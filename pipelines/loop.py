"""The learning loop: collect, run the pipeline, and collect with the version that it registered.

Each round is an ordinary run of the pipeline on all logs of the drop folder, so Dagster and the
registry show it as any other, and a stage that was finished before a kill is cached.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kinemill.control import ControlledPlant, Robot
from kinemill.control.learning_loop import Collector, RoundRecord, is_finished, is_reached, loop_of
from kinemill.control.loop_round import (
    REPORT,
    finish_round,
    journal_of,
    make_policy,
    registered,
    round_record,
)
from kinemill.errors import Blocked
from kinemill.ingest.files import drop_folder
from kinemill.store import Json, to_json_value
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.task import Task, load_task
from kinemill.task.protocols import Progress
from kinemill_dagster.pipelines.run import run_chain


@dataclass(frozen=True)
class _LoopRun:
    """A loop that is being run; `named` is the name of its task, or the path of its file."""

    task: Task
    home: Home
    named: str
    overrides: Mapping[str, object]
    collector: Collector

    def round(self, rounds: list[RoundRecord]) -> RoundRecord:
        """Run the next round."""
        number = len(rounds)
        began = time.monotonic()
        spent = _cpu_seconds()
        name = self.task.name
        address = f"models:/{name}/{rounds[-1].version}" if rounds else None
        episodes = self.collector.collect(number, *make_policy(self.task, address))
        document = run_chain(self.named, self._changed(rounds), show_progress=False)
        if document.version is None:
            fix = f"kinemill ui shows the checks of {name}"
            raise Blocked(name, f"round {number} registered no version", fix=fix)
        record = round_record(rounds, episodes, *registered(self.home, name, document.version))
        wall = time.monotonic() - began
        cpu = _cpu_seconds() - spent
        return replace(record, wall=wall, cpu=cpu)

    def _changed(self, rounds: list[RoundRecord]) -> dict[str, object]:
        """Return the overrides of a round's pipeline run."""
        # Logs of episodes are published whole, so none is too young to be read.
        loop = loop_of(self.task)
        changed = {"ingest.min_file_age": 0, **self.overrides}
        if not rounds:
            return changed
        if loop.warm_start:
            changed["learn.start_from"] = f"models:/{self.task.name}/{rounds[-1].version}"
        if loop.refit_steps is not None:
            changed["learn.steps"] = loop.refit_steps
        return changed


def run_loop(
    task: str,
    overrides: Mapping[str, object],
    progress: Progress,
    *,
    plant: ControlledPlant | None = None,
) -> Json:
    """Run the rounds that a task's loop still lacks, and return the document of `kinemill run`.

    `plant` replaces the simulated plant of the task.

    Raises:
        TaskError: The task file or an override is wrong; nothing was started.
        EpisodeFailed: The plant failed; the episodes before are kept, and the champion stays.
        Blocked: A blocking check failed, or a round registered no version.
    """
    effective = load_task(task, overrides)
    home = Home.resolve()
    journal = journal_of(effective, home)
    robot = plant or Robot(effective)
    logs = drop_folder(effective, home)
    collector = Collector(effective, robot, journal, logs, progress.log_message)
    run = _LoopRun(effective, home, task, overrides, collector)
    with lock(home, f"loop-{effective.name}", progress.log_message):
        cached = len(journal.rounds())
        while not is_finished(effective, rounds := journal.rounds()):
            finish_round(effective, home, run.round(rounds), progress.log_message)
    return _document(effective, rounds, journal.folder / REPORT, is_new=len(rounds) > cached)


def _document(task: Task, rounds: list[RoundRecord], report: Path, *, is_new: bool) -> Json:
    target = loop_of(task).target
    failed = target is not None and not is_reached(task, rounds)
    last = rounds[-1]
    return {
        "task": task.name,
        "status": "missed" if failed else "done" if is_new else "unchanged",
        "steps": last.steps,
        "seconds_of_robot": last.steps * task.dt,
        "version": last.version,
        "successes": last.successes,
        "trials": last.trials,
        "rounds": [to_json_value(record) for record in rounds],
        "report": str(report),
    }


def _cpu_seconds() -> float:
    """Return the processor time of this process and of those that it waited for, s."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
