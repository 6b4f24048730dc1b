"""The learning loop: collect, run the pipeline, and collect with the version that it registered.

Each round is an ordinary run of the pipeline on all logs of the drop folder, so Dagster and the
registry show it as any other, and a stage that was finished before a kill is cached.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kinemill.api.rollouts import log_folder
from kinemill.control import (
    ControlledPlant,
    Policy,
    Robot,
    learned_model,
    make_planner,
    plain_policy,
)
from kinemill.control.cost import control_of
from kinemill.control.learning_loop import (
    FOLDER,
    Collector,
    EpisodeRecord,
    Journal,
    RoundRecord,
    loop_of,
    total_steps,
)
from kinemill.control.loop_report import loop_page
from kinemill.errors import Blocked
from kinemill.register.document import RunDocument
from kinemill.store import Json, publish_file, to_json_value
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.task import Task, load_task
from kinemill.task.protocols import Progress
from kinemill.verify.document import Verification
from kinemill.verify.results import CalibrationCurves
from kinemill_dagster.pipelines.run import run_chain, verification_of

REPORT = "loop.html"


@dataclass(frozen=True)
class _LoopRun:
    """A loop that is being run; `named` is the name of its task, or the path of its file."""

    task: Task
    named: str
    overrides: Mapping[str, object]
    collector: Collector
    show_progress: bool

    def round(self, rounds: list[RoundRecord]) -> RoundRecord:
        """Run the next round."""
        number, began, spent = len(rounds), time.monotonic(), _cpu_seconds()
        name, policy = self._policy(rounds)
        episodes = self.collector.collect(number, name, policy)
        document = run_chain(self.named, self._changed(rounds), show_progress=self.show_progress)
        record = self._record(rounds, episodes, document)
        wall, cpu = time.monotonic() - began, _cpu_seconds() - spent
        return replace(record, wall=wall, cpu=cpu)

    def _policy(self, rounds: list[RoundRecord]) -> tuple[str, Policy]:
        """Return what collects: random actions, later a planner on the last version."""
        if not rounds:
            return "random", plain_policy(self.task, "random")
        address = f"models:/{self.task.name}/{rounds[-1].version}"
        planner = make_planner(self.task, [learned_model(self.task, address)])
        return control_of(self.task).controller.type, planner

    def _changed(self, rounds: list[RoundRecord]) -> dict[str, object]:
        """Return the overrides of a round's pipeline run."""
        # Logs of episodes are published whole, so none is too young to be read.
        loop, changed = loop_of(self.task), {"ingest.min_file_age": 0, **self.overrides}
        if not rounds:
            return changed
        if loop.warm_start:
            changed["learn.start_from"] = f"models:/{self.task.name}/{rounds[-1].version}"
        if loop.refit_steps is not None:
            changed["learn.steps"] = loop.refit_steps
        return changed

    def _record(
        self, rounds: list[RoundRecord], episodes: list[EpisodeRecord], document: RunDocument
    ) -> RoundRecord:
        """Return the record of a round from the document of its pipeline run."""
        if document.version is None:
            fix = f"kinemill ui shows the checks of {self.task.name}"
            raise Blocked(self.task.name, f"round {len(rounds)} registered no version", fix=fix)
        verified = verification_of(self.named, document.version) or Verification()
        closed, analysis = verified.closed_loop, verified.analysis
        calibration = analysis.calibration if analysis else None
        return RoundRecord(
            number=len(rounds),
            episodes=episodes,
            steps=total_steps(rounds, episodes),
            version=document.version,
            alias=document.alias,
            gate=[verdict.rule for verdict in document.gate if not verdict.passed],
            successes=closed.successes if closed else 0,
            trials=len(closed.episodes) if closed else 0,
            nrmse=document.metrics.nrmse.get("model"),
            coverage=coverage_of(calibration) if calibration else None,
            wall=0.0,
            cpu=0.0,
        )


def coverage_of(calibration: CalibrationCurves) -> float:
    """Return the share of states in the 90 % intervals, the mean over channels and steps."""
    return float(np.mean(list(calibration.coverage["0.9"].values())))


def run_loop(
    task: str,
    overrides: Mapping[str, object],
    progress: Progress,
    *,
    plant: ControlledPlant | None = None,
    show_progress: bool = False,
) -> Json:
    """Run the rounds that a task's loop still lacks, and return the document of `kinemill run`.

    Args:
        task: name of a task with a `loop` part, or path of its file.
        overrides: dotted key to value.
        progress: takes a line for each episode and each round.
        plant: in place of the simulated plant of the task.
        show_progress: show the progress of the stages on stderr.

    Raises:
        TaskError: the task file or an override is wrong; nothing was started.
        EpisodeFailed: the plant failed; the episodes before are kept, and the champion stays.
        Blocked: a blocking check failed, or a round registered no version.
    """
    effective, home = load_task(task, overrides), Home.resolve()
    loop, folder = loop_of(effective), home.root / FOLDER / effective.name
    journal = Journal(folder)
    robot, logs = plant or Robot(effective), log_folder(effective, None)
    collector = Collector(effective, robot, journal, logs, progress.log_message)
    run = _LoopRun(effective, task, overrides, collector, show_progress)
    with lock(home, f"loop-{effective.name}", progress.log_message):
        rounds = journal.rounds()
        cached = len(rounds)
        while len(rounds) < loop.rounds and not is_reached(effective, rounds):
            record = run.round(rounds)
            journal.finish(record)
            rounds.append(record)
            publish_file(folder / REPORT, loop_page(effective, rounds).encode())
            progress.log_message(
                f"round {record.number}: version {record.version}, {record.successes} of "
                f"{record.trials} succeed, {record.steps} steps"
            )
    return _document(effective, rounds, folder / REPORT, is_new=len(rounds) > cached)


def is_reached(task: Task, rounds: list[RoundRecord]) -> bool:
    """Return whether the last round reached `loop.target`."""
    target = loop_of(task).target
    if target is None or not rounds or not rounds[-1].trials:
        return False
    return rounds[-1].successes >= target * rounds[-1].trials


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
