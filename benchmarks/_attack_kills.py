"""SIGKILL of commands at random moments; the next run completes, and nothing is lost."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._attacked import (
    KILLED,
    LOOP,
    TASK,
    Commands,
    Result,
    Row,
    Workspace,
    changed,
    tree_digest,
)

_PATIENCE = 600.0  # s of a run that is not killed
_LEAST_SHARE = 0.35  # of an uninterrupted run: where the last kills of a chain fall, at least
_IN_A_ROW = 20  # kills of a long command before it is left to complete
_LOOP = [  # one round that learns little
    "ingest.min_file_age=0",
    "loop.rounds=1",
    "loop.random_seconds=0.6",
    "loop.episodes=1",
    "control.seconds=0.6",
    "control.hold=0.2",
    "control.controller.samples=4",
    "control.controller.horizon=5",
    "control.controller.knots=5",
    "learn.gauss_newton=null",
    "learn.model={type: mlp, hidden_sizes: [8]}",
    "learn.steps=20",
    "learn.eval_every=10",
    "verify.closed_loop=2",
    "verify.horizon=5",
]


@dataclass(frozen=True)
class Victim:
    """A command that is killed.

    Attributes:
        arguments: of its n-th completed run; each n gives it new work.
        in_a_row: after so many kills the next run is left to complete.
        source: `bare`, a workspace with logs alone, or `used`, one with two versions.
        is_fresh: a completed run is followed by one on a new copy of the source.
        is_chain: a run takes from the store what a killed one has completed.
    """

    arguments: Callable[[Workspace, int], list[str]]
    in_a_row: int = 4
    source: str = "used"
    is_fresh: bool = True
    is_chain: bool = False

    @property
    def codes(self) -> tuple[int, ...]:
        """Exit codes of a complete run: the gate may refuse, or a kill came after the change."""
        return (0, 1) if self.in_a_row == _IN_A_ROW else (0,) if self.is_fresh else (0, 2)


def backup_of(workspace: Workspace) -> str:
    """Return where a workspace has its backup."""
    return str(workspace.folder / "backup")


def _run(workspace: Workspace, task: str, *overrides: str) -> list[str]:
    logs = [] if task == LOOP else ["--logs", str(workspace.logs)]
    return ["run", task, *logs, *(part for override in overrides for part in ("--set", override))]


def _decide(command: str, version: str, number: int) -> list[str]:
    force = ["--force"] if command == "promote" else []
    return ["model", command, *version.split(), *force, "--why", f"try {number}"]


VICTIMS = {  # the longest first
    "run, of a loop": Victim(
        lambda workspace, _: _run(workspace, LOOP, *_LOOP), _IN_A_ROW, "bare", is_chain=True
    ),
    "run": Victim(lambda workspace, _: _run(workspace, TASK), _IN_A_ROW, "bare", is_chain=True),
    "model tune": Victim(
        lambda _, n: ["model", "tune", TASK, "--trials", str(n + 2), "--no-register"],
        *(_IN_A_ROW, "used", False),
    ),
    "data ingest": Victim(
        lambda workspace, _: ["data", "ingest", TASK, str(workspace.logs)], source="bare"
    ),
    "admin backup": Victim(lambda workspace, _: ["admin", "backup", backup_of(workspace)]),
    "admin restore": Victim(
        lambda workspace, _: ["admin", "restore", backup_of(workspace), "--replace"]
    ),
    "admin rebuild-catalog": Victim(lambda _space, _: ["admin", "rebuild-catalog"]),
    "model promote": Victim(
        lambda _, n: _decide("promote", f"{TASK}:{1 + n % 2}", n), is_fresh=False
    ),
    "model rollback": Victim(
        lambda _, n: _decide("rollback", f"{TASK} --to {1 + n % 2}", n), is_fresh=False
    ),
}


def state(commands: Commands, workspace: Workspace) -> dict[str, Any]:
    """Return what may not get lost: recordings, versions, the champion and its audit.

    Raises:
        ValueError: A command failed, or the audit is incomplete.
    """
    listed, models, audit = commands.documents(
        workspace, ["data", "list", TASK], ["model", "list", TASK], ["model", "audit", TASK]
    )
    needed = [listed, models, *([audit] if models.get("versions") else [])]
    if problems := [document["problem"] for document in needed if "problem" in document]:
        raise ValueError(problems[0])
    recordings = listed["recordings"]
    versions = models["versions"]
    champions = [version["version"] for version in versions if "champion" in version["aliases"]]
    events: list[Any] = []
    if versions:
        events = audit["events"]
        # Nothing here moves a champion in MLflow: such an event is a decision without its record.
        gaps = [
            event
            for event in events
            if event["status"] == "open"
            or event["what"] == "moved in MLflow"
            or not (event["who"] and event["why"])
        ]
        if gaps or audit["champion"] not in (champions or [None]):
            message = f"the audit has gaps: {gaps}, {champions}"
            raise ValueError(message)
    return {
        "recordings": {recording["name"] for recording in recordings},
        "versions": {version["version"] for version in versions},
        "a champion": {bool(champions)} - {False},
        "decisions": set(range(len(events))),
    }


def lost(commands: Commands, workspace: Workspace, previous: dict[str, Any]) -> str:
    """Return what is lost compared with an earlier state, or an empty text."""
    try:
        return missing_from(state(commands, workspace), previous)
    except ValueError as error:
        return str(error)


def missing_from(after: dict[str, Any], previous: dict[str, Any]) -> str:
    """Return what a state lacks of an earlier one, or an empty text."""
    names = [name for name, values in previous.items() if values - after[name]]
    return f"lost {', '.join(names)}" if names else ""


class _Attack:
    """Kills of one command, at random moments between its first write and its end."""

    def __init__(self, commands: Commands, victim: Victim, source: Workspace, folder: Path) -> None:
        self._commands = commands
        self._victim = victim
        self._source = source
        self._folder = folder
        self._moments = random.Random(folder.name)
        self._first = self._last = 0.0  # s of an uninterrupted run: its first write, and its end
        self._done = 0.0  # s of killed runs, which the next run finds in the store
        self._number = 0  # of complete runs
        self._space = source.copy(folder / "0")
        self._logs = tree_digest(source.logs)
        self._previous = state(commands, self._space)

    def measure(self) -> None:
        """Complete one run, to know when it writes its first file and when it ends.

        Raises:
            ValueError: It failed.
        """
        began = time.time()
        whole = self._run(_PATIENCE)
        if problem := whole.problem(self._victim.codes):
            raise ValueError(problem)
        files = [path.stat().st_ctime for path in self._space.folder.rglob("*") if path.is_file()]
        self._first = min((moment - began for moment in files if moment > began), default=0.0)
        self._last = whole.seconds
        self.renew()

    def renew(self) -> None:
        """Give the command new work."""
        self._number += 1
        if self._victim.is_fresh:
            self._space = self._source.copy(self._folder / str(self._number))
            self._done = 0.0

    def kill(self) -> tuple[bool, str]:
        """Kill the command, unless it is faster; return whether it was killed, and when."""
        first, last = self._first, self._last
        rest = max(last - first - self._done, _LEAST_SHARE * last)
        moment = self._moments.uniform(first, first + rest)
        result = self._run(moment)
        was_killed = result.code == KILLED
        if was_killed and self._victim.is_chain:
            self._done += moment - first
        elif not was_killed and not self._done:  # the machine is faster than when it was measured
            self._first *= result.seconds / last
            self._last = result.seconds
        return was_killed, f"{moment:.2f} s in {first:.2f} to {last:.2f}"

    def complete(self) -> str:
        """Run the command once more to its end; return what is wrong."""
        early = "" if self._victim.is_fresh else lost(self._commands, self._space, self._previous)
        problem = early or self._run(_PATIENCE).problem(self._victim.codes)
        problem = problem or self._compare()
        problem = problem or changed(self._logs, tree_digest(self._space.logs))
        leftover = [
            path for path in self._space.home.rglob(".aside-*") if path.is_dir() or path.is_file()
        ]
        return problem or (
            f"leaves {leftover[0]}" if leftover and self._victim.source == "bare" else ""
        )

    def _compare(self) -> str:
        """Return what is lost; what is there now may not get lost in the next run either."""
        try:
            after = state(self._commands, self._space)
        except ValueError as error:
            return str(error)
        problem = missing_from(after, self._previous)
        if not self._victim.is_fresh:
            self._previous = after
        return problem

    def _run(self, patience: float) -> Result:
        arguments = self._victim.arguments(self._space, self._number)
        return self._commands.run(self._space, *arguments, patience=patience)


def attack_by_kills(
    commands: Commands, source: Workspace, folder: Path, name: str, kills: int
) -> Row:
    """Kill a command `kills` times, at moments drawn between its first write and its end."""
    row = Row(f"SIGKILL of {name}")
    victim = VICTIMS[name]
    try:
        attack = _Attack(commands, victim, source, folder)
        attack.measure()
        since = 0
        for _ in range(5 * kills):
            was_killed, moment = attack.kill()
            since += was_killed
            if not was_killed or since == victim.in_a_row or row.attempts + since == kills:
                if since:
                    row.add(f"kill {row.attempts + since} at {moment}", attack.complete(), since)
                since = 0
                attack.renew()
            if row.attempts >= kills:
                return row
        row.failed.append(f"only {row.attempts} of {kills} kills met the command")
    except ValueError as error:
        row.add("before a kill", str(error))
    return row
