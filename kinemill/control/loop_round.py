"""Rounds of the learning loop in the registry: the policy that collects, and the new version.

`kinemill run` runs whole rounds. In Dagster a round is two runs: the asset `rollouts` collects
episodes, and the pipeline learns from the new logs. Both write the journal of
`control.learning_loop`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kinemill.control import ControlledPlant, Policy, Robot, learned_model, make_planner
from kinemill.control.cost import control_of
from kinemill.control.learning_loop import (
    FOLDER,
    Collector,
    EpisodeRecord,
    Journal,
    Report,
    RoundRecord,
    is_finished,
    is_reached,
    total_steps,
)
from kinemill.control.loop_report import loop_page
from kinemill.control.policies import plain_policy
from kinemill.control.recorded_runs import read_states
from kinemill.ingest.files import drop_folder
from kinemill.register.versions import Version, bundle_folder, find_version, versions_of
from kinemill.store import Home, publish_file
from kinemill.store.locks import lock
from kinemill.task import Task
from kinemill.verify.document import Verification, read_verification
from kinemill.verify.effects import ADVICE
from kinemill.verify.results import CalibrationCurves

REPORT = "loop.html"
Status = Literal["collect", "failed", "training", "done"]


@dataclass(frozen=True)
class LoopState:
    """Progress of a loop.

    Attributes:
        rounds: the finished rounds.
        episodes: episodes of the current round, including failed ones.
        missing: number of episodes that the current round still needs.
        version: the newest version if it is newer than that of the last round, else None.
        is_finished: whether the loop has reached its target or its number of rounds.
    """

    rounds: list[RoundRecord]
    episodes: list[EpisodeRecord]
    missing: int
    version: int | None
    is_finished: bool

    @property
    def status(self) -> Status:
        """Next step: `collect`, repair (`failed`), a new version (`training`), or none (`done`)."""
        if self.is_finished:
            return "done"
        if self.missing:
            return "failed" if self.episodes and self.episodes[-1].error else "collect"
        return "training" if self.version is None else "collect"

    @property
    def summary(self) -> str:
        """Progress of the loop as text."""
        last = self.rounds[-1] if self.rounds else None
        successes = f"{last.successes} of {last.trials} succeed" if last else "nothing learned yet"
        if self.is_finished:
            return f"finished after {len(self.rounds)} rounds: {successes}"
        return f"{len(self.episodes)} episodes of round {len(self.rounds)}; so far {successes}"

    @property
    def key(self) -> str:
        """Text that changes with every step of the loop."""
        return f"{len(self.rounds)}-{len(self.episodes)}-{self.version or 0}"


def loop_state(task: Task, home: Home) -> LoopState:
    """Return the progress of the loop of a task."""
    journal = journal_of(task, home)
    rounds = journal.rounds()
    versions = versions_of(home, task.name)
    newest = versions[0].number if versions else 0
    return LoopState(
        rounds=rounds,
        episodes=journal.episodes(len(rounds)),
        missing=journal.missing(task, len(rounds)),
        version=newest if newest > (rounds[-1].version if rounds else 0) else None,
        is_finished=is_finished(task, rounds),
    )


def journal_of(task: Task, home: Home) -> Journal:
    """Return the journal of the loop of a task."""
    return Journal(home.root / FOLDER / task.name)


def registered(home: Home, task: str, number: int) -> tuple[Version, Verification]:
    """Return a version of a task with its verification."""
    version = find_version(home, task, f":{number}")
    return version, read_verification(bundle_folder(home, version))


def round_record(
    rounds: Sequence[RoundRecord],
    episodes: list[EpisodeRecord],
    version: Version,
    verification: Verification,
) -> RoundRecord:
    """Return the record of the round after `rounds`, with the version that it registered."""
    closed = verification.closed_loop
    analysis = verification.analysis
    calibration = analysis.calibration if analysis else None
    return RoundRecord(
        number=len(rounds),
        episodes=episodes,
        steps=total_steps(rounds, episodes),
        version=version.number,
        alias=next(iter(version.aliases), None),
        gate=[verdict.rule for verdict in version.gate if not verdict.passed],
        successes=closed.successes if closed else 0,
        trials=len(closed.episodes) if closed else 0,
        nrmse=version.metrics.nrmse.get("model"),
        coverage=coverage_of(calibration) if calibration else None,
        wall=0.0,
        cpu=0.0,
        hint=_hint(verification),
    )


def _hint(verification: Verification) -> str:
    """Return advice about contacts with end stops, which more episodes do not cure."""
    for one in verification.unmodeled:
        if one.effect == "end_stop":
            explained, fix = ADVICE[one.effect]
            return f"{explained}: {one.share:.0%} of the squared errors of {one.channel}; {fix}"
    return ""


def coverage_of(calibration: CalibrationCurves) -> float:
    """Return the share of states in the 90 % intervals, averaged over channels and steps."""
    return float(np.mean(list(calibration.coverage["0.9"].values())))


def finish_round(task: Task, home: Home, record: RoundRecord, report: Report) -> None:
    """Record a round, and publish the report page of the loop."""
    journal = journal_of(task, home)
    journal.finish(record)
    rounds = journal.rounds()
    folder = drop_folder(task, home)
    logs = [one.log for each in rounds for one in each.collected]
    # A user may have moved logs after the ingest.
    runs = {log: read_states(task, folder / log) for log in logs if (folder / log).is_file()}
    publish_file(journal.folder / REPORT, loop_page(task, rounds, runs).encode())
    good, trials = record.success_counts
    of = "trials" if record.trials else "collected episodes"
    report(
        f"round {record.number}: version {record.version}, {good} of {trials} {of} succeed, "
        f"{record.steps} steps"
    )
    if record.hint and not is_reached(task, rounds):
        report(f"round {record.number}: {record.hint}")


def make_policy(task: Task, address: str | None) -> tuple[str, Policy]:
    """Return name and policy that collects episodes: a planner on a model, or random actions."""
    if address is None:
        return "random", plain_policy(task, "random")
    return control_of(task).controller.type, make_planner(
        task, [learned_model(task, address, wait=True)]
    )


def continue_loop(
    task: Task, home: Home, report: Report, plant: ControlledPlant | None = None
) -> LoopState:
    """Record the round whose version was registered, then collect the next one.

    The champion collects; without a champion the newest version does, and without a version random
    actions do. Does nothing while the current round waits for its version. `plant` replaces the
    simulated plant of the task.

    Raises:
        EpisodeFailed: The plant failed; earlier episodes are kept, and the champion stays.
    """
    journal = journal_of(task, home)
    with lock(home, f"loop-{task.name}", report):
        state = loop_state(task, home)
        if not state.missing and state.version and not state.is_finished:
            made = registered(home, task.name, state.version)
            record = round_record(state.rounds, state.episodes, *made)
            finish_round(task, home, record, report)
            state = loop_state(task, home)
        if state.missing and not state.is_finished:
            address = find_version(home, task.name).name if state.rounds else None
            collector = Collector(
                task, plant or Robot(task), journal, drop_folder(task, home), report
            )
            collector.collect(len(state.rounds), *make_policy(task, address))
    return loop_state(task, home)
