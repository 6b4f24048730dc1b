"""Planted defects: detection rate and false alarms of validation.

`python -m benchmarks.defects` plants fifteen kinds of single defects into sound episodes of real
and of simulated robots, and validates all episodes without a defect as well. Without the real logs
next to the checkout only simulated episodes are used.
"""

from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import DATA, EXAMPLES, main, markdown_table
from benchmarks._planting import KINDS
from kinemill.control.sim import SIMULATORS
from kinemill.task import Task, load_task
from kinemill.validate.apply_checks import apply_checks_to_track
from kinemill.validate.faults import Values

SECONDS = 5.0
EACH = 40  # of each kind, half of them real
SIMULATED = 100  # logs of 15 s
SETS = {  # folder: task, time step in s
    "double_pendulum_sysid": ("double_pendulum", 0.01),
    "double_pendulum_c0": ("double_pendulum", 0.01),
    "pendubot_400hz": ("double_pendulum", 0.005),
    "acrobot_pendubot_33hz": ("double_pendulum", 0.03),
    "simple_pendulum": ("simple_pendulum", 0.02),
}
# Not sound: a row is stamped late (5 to 8 ms after the one before, where 2 ms is usual), and the
# velocity, differentiated by the robot itself, is halved there and doubled in the next row.
UNSOUND = {
    "C0_20220914_traj00.csv": [0.69],
    "C0_20220914_traj01.csv": [4.86],
    "C0_20220914_traj02.csv": [0.19, 8.05],
    "perturbed_exp01.csv": [2.13, 2.88],
}


@dataclass(frozen=True)
class Episode:
    """A sound stretch of a log: channel -> (n,), in the task's units."""

    name: str
    task: Task
    values: Values
    real: bool


@dataclass
class Score:
    """How often a kind was planted, caught, and named; what was missed."""

    planted: int = 0
    caught: int = 0
    named: int = 0
    real: int = 0
    missed: list[str] = field(default_factory=list)


def real_episodes() -> list[Episode]:
    """Return the stretches of the real logs, on their tasks' time steps."""
    episodes: list[Episode] = []
    for folder, (name, dt) in SETS.items():
        task = load_task(EXAMPLES / f"{name}.yaml", {"dt": dt})
        for path in sorted((DATA / folder).glob("*.csv")):
            if task.ingest.wants(path.name):
                episodes += _cut(path.name, task, *_read(path, task), UNSOUND.get(path.name, []))
    return episodes


def _read(path: Path, task: Task) -> tuple[np.ndarray, Values]:
    frame = pl.read_csv(path)
    frame = frame.rename({name: name.strip() for name in frame.columns})
    stamps = frame["time"].to_numpy()
    later = np.concatenate(([True], np.diff(stamps) > 0))
    grid = np.arange(stamps[later][0], stamps[later][-1], task.dt)
    return grid, {
        name: np.interp(grid, stamps[later], frame[_source(frame, name, task)].to_numpy()[later])
        for name in task.columns
    }


def _source(frame: pl.DataFrame, name: str, task: Task) -> str:
    names = [source.name for source in task.channels[name].source] or [name]
    return next(key for key in names if key in frame.columns)


def _cut(
    name: str, task: Task, time: np.ndarray, values: Values, unsound: list[float]
) -> list[Episode]:
    """Cut a log into stretches, those without the moments, s, at which it is unsound."""
    rows = min(round(SECONDS / task.dt), len(time))
    pieces = [slice(start, start + rows) for start in range(0, len(time) - rows + 1, rows)]
    return [
        Episode(
            f"{name}@{time[piece.start]:.1f}",
            task,
            {key: item[piece] for key, item in values.items()},
            real=True,
        )
        for piece in pieces
        if not any(time[piece][0] <= moment <= time[piece][-1] for moment in unsound)
    ]


def simulated_episodes(seed: int, logs: int = SIMULATED) -> list[Episode]:
    """Return stretches of a simulated cart-pole, on its task's time step."""
    task, simulator = load_task(EXAMPLES / "cart_pole.yaml"), SIMULATORS["cart_pole"]()
    episodes: list[Episode] = []
    for number in range(logs):
        table = simulator.log(15.0, np.random.default_rng([seed, number]))
        stamps = table["timestamp"]
        grid = np.arange(stamps[0], stamps[-1], task.dt)
        values = {
            name: np.interp(grid, stamps, table[task.channels[name].source[0].name])
            for name in task.columns
        }
        cut = _cut(f"cart_pole-{number}", task, grid, values, [])
        episodes += [Episode(each.name, task, each.values, real=False) for each in cut]
    return episodes


def plant(
    real: list[Episode], simulated: list[Episode], seed: int, each: int = EACH
) -> dict[str, Score]:
    """Plant every kind `each` times, in real and simulated episodes in turn; return the scores."""
    scores: dict[str, Score] = {}
    for number, (title, (make, names)) in enumerate(KINDS.items()):
        random, score = np.random.default_rng([seed, 1000 + number]), Score()
        pools = cycle([pool for pool in (real, simulated) if pool])
        tries = 0
        while score.planted < each and tries < 200 * each:
            tries += 1
            pool = next(pools)
            episode = pool[random.integers(len(pool))]
            planted = make(episode.values, episode.task, random)
            if planted is None:
                continue
            score.planted += 1
            score.real += episode.real
            findings = apply_checks_to_track(planted.values, episode.task).findings
            named = any(
                item.check in names and item.fault.channel in planted.channels for item in findings
            )
            score.caught += bool(findings)
            score.named += named
            if not named:
                reported = sorted({f"{item.check}({item.fault.channel})" for item in findings})
                score.missed.append(
                    f"{episode.name}: {planted.size}: {', '.join(reported) or 'none'}"
                )
        scores[title] = score
    return scores


def false_alarms(episodes: list[Episode]) -> list[str]:
    """Return what is found in episodes that are sound."""
    names: list[str] = []
    for episode in episodes:
        verdict = apply_checks_to_track(episode.values, episode.task)
        if verdict.findings:
            first = verdict.findings[0]
            names.append(
                f"{episode.name}: {first.check}({first.fault.channel}) {first.fault.actual}"
            )
    return names


def table(scores: dict[str, Score], clean: list[Episode], wrong: list[str]) -> str:
    """Return the scores and the false alarms as a Markdown table."""
    total = Score()
    rows = list[list[object]]()
    for title, score in scores.items():
        rows.append(_cells(title, score))
        for key in ("planted", "caught", "named", "real"):
            setattr(total, key, getattr(total, key) + getattr(score, key))
    *cells, share = _cells("**all**", total)
    sound = sum(episode.real for episode in clean)
    alarms = f"**{len(wrong) / max(1, len(clean)):.1%}**"
    rows.append([*cells, f"**{share}**"])
    rows.append(["clean, false alarms", f"{len(clean)} ({sound})", len(wrong), "", alarms])
    head = ["defect", "planted (real)", "detected", "detected and named", "share"]
    return markdown_table(head, rows)


def _cells(title: str, score: Score) -> list[object]:
    share = score.named / max(1, score.planted)
    planted = f"{score.planted} ({score.real})"
    return [title, planted, score.caught, score.named, f"{share:.1%}"]


def measure(seed: int = 0, logs: int = SIMULATED, each: int = EACH) -> str:
    """Plant and check; return the table."""
    real = real_episodes()
    simulated = simulated_episodes(seed, logs)
    clean = [*real, *simulated]
    return table(plant(real, simulated, seed, each), clean, false_alarms(clean))


if __name__ == "__main__":
    main("defects", measure)
