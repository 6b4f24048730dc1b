"""Learning loop: rounds that collect episodes and train on all of them, and their journal.

    loops/TASK/round-002/episode-000.json     one for each episode, after its log is published
    loops/TASK/round-002/round.json           the result of the round, written last

A loop that is killed continues after the last episode or stage that finished. The pipeline trains,
exports and verifies; this module collects episodes and writes the journal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinemill.control.closed_loop import run_episode
from kinemill.control.controlled_plant import ControlledPlant, EpisodeFailed, GuardedPlant
from kinemill.control.exploration import Exploration
from kinemill.control.policies import Policy
from kinemill.control.recorded_runs import write_log
from kinemill.errors import BadInput
from kinemill.store import publish_document, read_document
from kinemill.task.document import Task
from kinemill.task.loop import Loop

FOLDER = "loops"
SEEDS = 1000  # seeds per round; the first round starts above the seeds of `verify.closed_loop`
Report = Callable[[str], None]


@dataclass(frozen=True)
class EpisodeRecord:
    """One episode that a round collected.

    Attributes:
        seed: seed of start, actions and noise.
        steps: steps of the plant, also of a failed episode.
        success: whether the end meets `control.success`; None if the task has none.
        cost: see `closed_loop.Episode`; 0 if the episode failed.
        log: name of its log file; "" if the episode failed.
        error: message of the failure; "" if it did not fail.
        refused: steps at which the planner rejected all plans.
    """

    seed: int
    steps: int
    success: bool | None
    cost: float
    log: str
    error: str = ""
    refused: int = 0


@dataclass(frozen=True)
class RoundRecord:
    """One round.

    Attributes:
        number: number of the round, from 0.
        episodes: episodes that it collected before the training.
        steps: steps of the plant since the first round, including this one.
        version: registered version.
        alias: alias of the version at the end of the round.
        gate: names of the gate's rules that failed.
        successes, trials: closed-loop episodes of the verification; 0 of 0 without any, or without
            `control.success`.
        nrmse: error of the version on test episodes at the horizon; None if not measured.
        coverage: share of the test states in the 90 % intervals of an ensemble, the mean over
            channels and steps; None for a model without uncertainty.
        wall, cpu: time of the last attempt, s.
    """

    number: int
    episodes: list[EpisodeRecord]
    steps: int
    version: int
    alias: str | None
    gate: list[str]
    successes: int
    trials: int
    nrmse: float | None
    coverage: float | None
    wall: float
    cpu: float

    @property
    def collected(self) -> list[EpisodeRecord]:
        """Episodes with a log."""
        return [episode for episode in self.episodes if not episode.error]

    @property
    def success_counts(self) -> tuple[int, int]:
        """Successes and trials of the version; of the round's episodes if it had no trials.

        0 of 0 without `control.success`.
        """
        if self.trials:
            return self.successes, self.trials
        results = [episode.success for episode in self.collected if episode.success is not None]
        return sum(results), len(results)


def loop_of(task: Task) -> Loop:
    """Return the `loop` part of a task.

    Raises:
        BadInput: The task has no `loop` part.
    """
    if task.loop is None:
        fix = "see docs/learning-loop.md"
        raise BadInput(task.path or f"task {task.name}", "has no `loop` part", fix=fix)
    return task.loop


@dataclass(frozen=True)
class Journal:
    """Finished rounds and episodes of a loop, as JSON files in a folder of the home."""

    folder: Path

    def rounds(self) -> list[RoundRecord]:
        """Return the finished rounds."""
        records = list[RoundRecord]()
        while (path := self._round(len(records))).is_file():
            records.append(read_document(path, RoundRecord))
        return records

    def episodes(self, number: int) -> list[EpisodeRecord]:
        """Return the episodes of a round so far, failed ones included."""
        paths = sorted(self._round(number).parent.glob("episode-*.json"))
        return [read_document(path, EpisodeRecord) for path in paths]

    def missing(self, task: Task, number: int) -> int:
        """Return the number of episodes that a round still needs.

        Raises:
            BadInput: The task has no `loop` part.
        """
        loop = loop_of(task)
        needed = loop.random_episodes if number == 0 else loop.episodes
        return needed - sum(not episode.error for episode in self.episodes(number))

    def add_episode(self, number: int, record: EpisodeRecord) -> None:
        """Record an episode whose log is published."""
        index = len(self.episodes(number))
        path = self._round(number).parent / f"episode-{index:03d}.json"
        publish_document(path, record)

    def finish(self, record: RoundRecord) -> None:
        """Record a round whose version is registered."""
        publish_document(self._round(record.number), record)

    def _round(self, number: int) -> Path:
        return self.folder / f"round-{number:03d}" / "round.json"


@dataclass(frozen=True)
class Collector:
    """Runs the episodes of a round and writes their logs.

    Attributes:
        task: task with the parts `control` and `loop`.
        plant: plant, whose states are checked.
        journal: journal of the loop.
        logs: drop folder of the task.
        report: receives a line for each episode.
    """

    task: Task
    plant: ControlledPlant
    journal: Journal
    logs: Path
    report: Report

    def collect(self, number: int, name: str, policy: Policy) -> list[EpisodeRecord]:
        """Run the episodes that a round still lacks.

        Args:
            number: number of the round.
            name: name of the policy, the prefix of log names.
            policy: chooses the actions.

        Returns:
            All episodes of the round.

        Raises:
            EpisodeFailed: An episode failed. It is recorded, earlier episodes are kept, and the
                next call replaces it by one with another seed.
        """
        for seed in self._missing(number):
            record, failure = self._episode(number, name, policy, seed)
            self.journal.add_episode(number, record)
            if failure is not None:
                raise failure
            result = {True: "success, ", False: "no success, ", None: ""}[record.success]
            self.report(
                f"round {number}, episode {seed}: {result}cost {record.cost:.3g}, "
                f"{record.steps} steps"
            )
        return self.journal.episodes(number)

    def _missing(self, number: int) -> Iterator[int]:
        """Yield the seeds of the episodes that a round still needs."""
        done = len(self.journal.episodes(number))  # failed ones count: their seeds are not reused
        # Separate ranges of seeds for rounds, and for loops with another `loop.seed`.
        first = SEEDS * (number + 1) + 100 * SEEDS * loop_of(self.task).seed + done
        yield from range(first, first + self.journal.missing(self.task, number))

    def _episode(
        self, number: int, name: str, policy: Policy, seed: int
    ) -> tuple[EpisodeRecord, EpisodeFailed | None]:
        """Run and log one episode; return its record, and the error that ended it."""
        loop = loop_of(self.task)
        guarded = GuardedPlant(self.task, self.plant, loop.limits)
        try:
            episode = run_episode(
                self.task,
                policy,
                seed,
                robot=guarded,
                seconds=loop.random_seconds if number == 0 else None,
                explore=Exploration(loop.explore if number else 0.0, loop.color),
            )
            if not np.isfinite(episode.cost):
                raise EpisodeFailed(
                    f"{self.task.name}, episode {seed}",
                    f"the cost is {episode.cost}",
                    expected="a finite number",
                    fix="check the formulas of control.cost and control.derived",
                )
        except EpisodeFailed as error:
            return EpisodeRecord(seed, guarded.steps, False, 0.0, "", str(error)), error
        path = write_log(self.task, episode, self.logs, f"{name}-{seed:06d}")
        steps = len(episode.actions)
        refused = episode.refused
        good = EpisodeRecord(seed, steps, episode.success, episode.cost, path.name, refused=refused)
        return good, None


def is_finished(task: Task, rounds: Sequence[RoundRecord]) -> bool:
    """Return whether a loop has reached its target or its number of rounds.

    Raises:
        BadInput: The task has no `loop` part.
    """
    return len(rounds) >= loop_of(task).rounds or is_reached(task, rounds)


def is_reached(task: Task, rounds: Sequence[RoundRecord]) -> bool:
    """Return whether the share of successes in the last verification is `loop.target` or more.

    Raises:
        BadInput: The task has no `loop` part.
    """
    target = loop_of(task).target
    if target is None or not rounds or not rounds[-1].trials:
        return False
    return rounds[-1].successes >= target * rounds[-1].trials


def total_steps(rounds: Sequence[RoundRecord], episodes: Sequence[EpisodeRecord]) -> int:
    """Return the steps of the plant in finished rounds and in the episodes of the current round."""
    finished = rounds[-1].steps if rounds else 0
    return finished + sum(episode.steps for episode in episodes)
