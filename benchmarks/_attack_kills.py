"""SIGKILL of commands at random moments; the next run completes, and nothing is lost."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._attacked import (
    KILLED,
    LOOP,
    TASK,
    Commands,
    Mill,
    Outcome,
    Row,
    changed,
    tree_digest,
)

_AT_ONCE = 2
_LONGEST = 120.0  # s of one run
_SHORT_LOOP = (  # a loop of two rounds that learns little
    *("ingest.min_file_age=0", "loop.rounds=1", "loop.random_seconds=0.6", "loop.episodes=1"),
    *("control.seconds=0.6", "control.hold=0.2", "control.controller.samples=4"),
    *("control.controller.horizon=5", "control.controller.knots=5", "learn.gauss_newton=null"),
    *("learn.steps=20", "learn.eval_every=10", "learn.compile=off"),
    *("verify.closed_loop=2", "verify.horizon=5"),
)

Arguments = Callable[[Mill, int], list[str]]


@dataclass(frozen=True)
class Victim:
    """A command that is killed.

    Attributes:
        arguments: of its n-th run; each n gives it new work.
        kills: after so many kills the next run is left to complete.
        codes: exit codes of success.
        source: `bare`, a mill with logs alone, or `used`, one with two versions.
        is_fresh: each completed run is followed by one on a new copy of the source.
    """

    arguments: Arguments
    kills: int = 1
    codes: tuple[int, ...] = (0,)
    source: str = "used"
    is_fresh: bool = True


def _set(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def _backup(mill: Mill) -> str:
    return str(mill.folder / "backup")


_RUN = (0, 1)  # the gate may refuse
VICTIMS = {
    "data ingest": Victim(lambda mill, _: ["data", "ingest", TASK, str(mill.logs)], source="bare"),
    "admin backup": Victim(lambda mill, _: ["admin", "backup", _backup(mill)]),
    "admin restore": Victim(lambda mill, _: ["admin", "restore", _backup(mill), "--replace"]),
    "admin rebuild-catalog": Victim(lambda _mill, _: ["admin", "rebuild-catalog"]),
    "model promote": Victim(
        lambda _, n: ["model", "promote", f"{TASK}:{1 + n % 2}", "--force", "--why", f"try {n}"],
        is_fresh=False,
        codes=(0, 2),  # after a kill, the version may be champion already
    ),
    "model rollback": Victim(
        lambda _, n: ["model", "rollback", TASK, "--to", str(1 + n % 2), "--why", f"try {n}"],
        is_fresh=False,
        codes=(0, 2),
    ),
    "run: data": Victim(
        lambda mill, _: ["run", TASK, "--logs", str(mill.logs)], kills=5, codes=_RUN, source="bare"
    ),
    "run: model": Victim(
        lambda mill, n: ["run", TASK, "--logs", str(mill.logs), *_set(f"learn.seed={n + 9}")],
        kills=5,
        codes=_RUN,
        is_fresh=False,
    ),
    "model tune": Victim(
        lambda _, n: ["model", "tune", TASK, "--trials", str(2 * n + 2), "--no-register"],
        kills=5,
        codes=_RUN,
        is_fresh=False,
    ),
    "run: loop": Victim(
        lambda _mill, _: ["run", LOOP, *_set(*_SHORT_LOOP)], kills=5, codes=_RUN, source="bare"
    ),
}


def state(commands: Commands, mill: Mill) -> dict[str, Any]:
    """Return what may not get lost: recordings, versions, the champion and its audit.

    Raises:
        ValueError: A command failed.
    """
    listed = _document(commands.run(mill, "data", "list", TASK, "--json"))
    versions = _document(commands.run(mill, "model", "list", TASK, "--json"))["versions"]
    champions = [one["version"] for one in versions if "champion" in one["aliases"]]
    result = {
        "recordings": {one["name"] for one in listed["recordings"]},
        "versions": {one["version"] for one in versions},
        "champion": champions[0] if champions else None,
        "decisions": 0,
    }
    if versions:
        audit = _document(commands.run(mill, "model", "audit", TASK, "--json"))
        anonymous = [one for one in audit["events"] if not one["who"] or not one["why"]]
        if audit["gaps"] or anonymous or audit["champion"] != result["champion"]:
            message = f"the audit has gaps {audit['gaps']}, {anonymous}, {audit['champion']}"
            raise ValueError(message)
        result["decisions"] = len(audit["events"])
    return result


def _document(outcome: Outcome) -> Any:
    if problem := outcome.problem():
        raise ValueError(problem)
    return outcome.document()


def lost(commands: Commands, mill: Mill, before: dict[str, Any]) -> str:
    """Return what is lost compared with an earlier state, or an empty text."""
    try:
        after = state(commands, mill)
    except ValueError as error:
        return str(error)
    names = [name for name in ("recordings", "versions") if before[name] - after[name]]
    if before["champion"] and not after["champion"]:
        names.append("champion")
    if after["decisions"] < before["decisions"]:
        names.append("decisions")
    return f"lost {', '.join(names)}" if names else ""


def _window(mill: Mill, began: float, outcome: Outcome) -> tuple[float, float]:
    """Return when a command that has ended wrote its first file, and its end, s."""
    times = [path.stat().st_mtime - began for path in mill.folder.rglob("*") if path.is_file()]
    writes = [moment for moment in times if moment > 0.0]
    return (min(writes, default=0.0), outcome.seconds)


def _kill(commands: Commands, sources: dict[str, Mill], folder: Path, name: str, kills: int) -> Row:
    """Kill one command `kills` times, and complete it in between."""
    victim, row, moments = VICTIMS[name], Row(f"SIGKILL of {name}"), random.Random(name)
    number, fresh = 0, sources[victim.source].copy(folder / f"{name} whole")
    began = time.time()
    whole = commands.run(fresh, *victim.arguments(fresh, number), patience=_LONGEST * 4)
    if problem := whole.problem(victim.codes):
        row.add("without a kill", problem)
        return row
    first, last = _window(fresh, began, whole)
    mill, done, since = fresh, 0, 0
    if victim.is_fresh:
        mill = sources[victim.source].copy(folder / f"{name} 0")
    logs, before = tree_digest(mill.logs), state(commands, mill)
    for attempt in range(3 * kills):
        if done == kills:
            break
        moment = moments.uniform(first, last)
        arguments = victim.arguments(mill, number + (0 if victim.is_fresh else 1))
        outcome = commands.run(mill, *arguments, kill_after=moment)
        if outcome.code == KILLED:
            done, since = done + 1, since + 1
        if since < victim.kills and done < kills:
            if outcome.code != KILLED:  # it was faster than the moment: new work
                number += 1
            continue
        problem = changed(logs, tree_digest(mill.logs))
        if not problem and not victim.is_fresh:
            problem = lost(commands, mill, before)
        again = commands.run(mill, *arguments, patience=_LONGEST * 4)
        problem = problem or again.problem(victim.codes) or lost(commands, mill, before)
        problem = problem or changed(logs, tree_digest(mill.logs))
        left = [path.name for path in mill.home.rglob(".aside-*")]
        problem = problem or (f"leaves {left[0]}" if name == "data ingest" and left else "")
        row.tried += since - 1
        row.add(f"kill {done} after {moment:.2f} s of {first:.2f} to {last:.2f}", problem)
        number, since = number + 1, 0
        if victim.is_fresh:
            mill = sources[victim.source].copy(folder / f"{name} {attempt + 1}")
    if done < kills:
        row.failed.append(f"only {done} of {kills} kills met the command: the window is wrong")
    return row


def attack_by_kills(
    commands: Commands, sources: dict[str, Mill], folder: Path, names: list[str], kills: int
) -> list[Row]:
    """Kill each command at moments drawn between its first write and its end.

    Args:
        commands: starts them.
        sources: mills that are copied, by name.
        folder: scratch.
        names: of commands.
        kills: of each.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        work = [pool.submit(_kill, commands, sources, folder, name, kills) for name in names]
        return [one.result() for one in work]
