"""The champion's error at training time: on the held-out episodes of its own dataset.

Symbols: W windows, C channels (S states, then actions).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.runtime import Simulator, load
from kinemill.runtime.window_metrics import QUIETLY, Floats, cut_windows, deviations
from kinemill.store import ArtifactRef, Json, get_or_build, open_ref, read_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import Champion

STAGE, VERSION = "drift_reference", 1
EPISODES = 200  # held-out episodes tried at most: 95 % of so many is known well enough
SAMPLE = 2000  # rows of training that distributions are compared with
MIN_STRETCHES = 5  # stretches; fewer tell too little of how much errors vary
USUAL = 0.95  # share of held-out stretches that err no more than what is called usual
NEGLIGIBLE = 0.01  # of a channel's spread in training: a smaller error matters to nobody
STILL = 1e-12  # a smaller spread in training counts as 1, as in the step's own scaling
CHUNK = 1024  # windows predicted at once, bounds memory


@dataclass(frozen=True)
class Reference:
    """What the champion is measured against.

    Attributes:
        ref: where it is published.
        squares: squared error at the horizon, (W, S), for each held-out episode.
        sample: rows of training, (rows, C).
        floor: smallest error that is called usual, (S,).
        shortest: windows of a stretch of 1 s, or of one horizon where that is longer.
        summary: `episodes`, `windows` and `rmse` by channel, for people.
    """

    ref: ArtifactRef
    squares: list[Floats]
    sample: Floats
    floor: Floats
    shortest: int
    summary: Json

    def usual(self, windows: int) -> Floats:
        """Return the error, (S,), that 95 % of held-out stretches of so many windows stay below.

        Stretches are as long as what is judged, where held-out episodes are long enough: the error
        of a short stretch varies more. Where there are fewer than five, they are cut to `shortest`
        windows, as verification resamples: the bound is then rather too large than too small.
        """
        stretches = sum(max(1, len(each) // windows) for each in self.squares)
        size = windows if stretches >= MIN_STRETCHES else min(windows, self.shortest)
        blocks = [
            np.sqrt(block.mean(axis=0))
            for each in self.squares
            for block in np.array_split(each, max(1, len(each) // size))
        ]
        return np.maximum(np.quantile(np.array(blocks), USUAL, axis=0), self.floor)


@QUIETLY
def squares_of(simulator: Simulator, values: NDArray[Any], horizon: int, stride: int) -> Floats:
    """Return the squared error of every window of (N, C) rows at the last step, (W, S), units².

    Windows start at every `stride`-th row, and know as many rows as the model wants; there are
    none in an episode that is shorter than history and horizon.
    """
    history, names = simulator.history, simulator.states
    angle = np.array([name in simulator.interface.angles for name in names])
    starts = np.arange(0, len(values) - history - horizon + 1, stride, dtype=np.int64)
    chunks = [np.empty((0, len(names)))]
    for first in range(0, len(starts), CHUNK):
        part = starts[first : first + CHUNK]
        windows = cut_windows(values, len(names), part, history, horizon)
        chunks.append(deviations(simulator, windows, angle)[:, -1] ** 2)
    return np.concatenate(chunks)


def make_reference(task: Task, home: Home, champion: Champion, simulator: Simulator) -> Reference:
    """Measure a champion on its own held-out episodes, or find it measured already.

    Raises:
        BadInput: none of them holds a window, or its own rollouts on them run away.
        CorruptArtifact: its dataset is damaged.
    """
    inputs = {
        "model": champion.model,
        "dataset": champion.dataset,
        "horizon": task.verify.horizon,
        "stride": task.verify.stride,
        "version": VERSION,
    }
    artifact = get_or_build(
        home, STAGE, task.name, inputs, lambda folder: _measure(task, champion, simulator, folder)
    )
    folder = open_ref(home, artifact.ref)
    squares, counts = np.load(folder / "squares.npy"), read_json(folder / "windows.json")
    sample = np.load(folder / "sample.npy").astype(np.float64)
    deviation = sample[:, : squares.shape[1]].std(axis=0)
    return Reference(
        artifact.ref,
        np.split(squares, np.cumsum(counts)[:-1]),
        sample,
        NEGLIGIBLE * np.where(deviation > STILL, deviation, 1.0),
        -(-max(round(1.0 / task.dt), task.verify.horizon) // task.verify.stride),
        artifact.summary,
    )


def _measure(task: Task, champion: Champion, simulator: Simulator, folder: Path) -> Json:
    horizon, stride = task.verify.horizon, task.verify.stride
    squares_by_episode: list[Floats] = []
    lines: list[Json] = []
    for identity, name, rows in champion.held_out(EPISODES):
        squares = squares_of(simulator, rows, horizon, stride)
        if len(squares):
            squares_by_episode.append(squares)
            lines.append({"episode": identity, "name": name, "windows": len(squares)})
            lines[-1]["rmse"] = _by_name(simulator, squares)
    where = f"champion version {champion.version}"
    if not squares_by_episode:
        raise BadInput(
            where,
            "has no held-out episode that is long enough to judge it by",
            expected=f"history + horizon = {simulator.history + horizon} rows",
            fix="lower verify.horizon, or hold longer episodes out",
        )
    all_squares = np.concatenate(squares_by_episode)
    if not np.isfinite(all_squares).all():
        raise BadInput(where, "its own rollouts run away on its held-out episodes")
    np.save(folder / "squares.npy", all_squares)
    np.save(folder / "sample.npy", champion.training_rows(SAMPLE))
    (folder / "windows.json").write_text(str([len(squares) for squares in squares_by_episode]))
    return {
        "episodes": lines,
        "windows": len(all_squares),
        "rmse": _by_name(simulator, all_squares),
    }


def _by_name(simulator: Simulator, squares: Floats) -> dict[str, float]:
    rmse = np.sqrt(squares.mean(axis=0)).tolist()
    return dict(zip(simulator.states, rmse, strict=True))


def open_simulator(task: Task, champion: Champion) -> Simulator:
    """Load the champion's own exported model, if it speaks of the task's channels.

    Raises:
        BadInput: its interface is another than the task's is now.
        CorruptArtifact: its file is damaged.
    """
    simulator = load(champion.folder)
    interface = simulator.interface
    now = {
        "states": tuple(task.states),
        "actions": tuple(task.actions),
        "dt": task.dt,
        "angles": tuple(name for name in task.states if task.channels[name].kind == "angle"),
        "units": {name: task.channels[name].unit for name in task.columns},
    }
    differing = [name for name, value in now.items() if getattr(interface, name) != value]
    if differing:
        own = "; ".join(f"{name} {getattr(interface, name)}" for name in differing)
        expected = "; ".join(f"{name} {now[name]}" for name in differing)
        raise BadInput(
            f"champion version {champion.version}",
            f"has another interface than the task now: {own}",
            expected=expected,
            fix=f"kinemill run {task.name} makes one for it",
        )
    return simulator
