"""The champion's error at training time: on the held-out episodes of its own dataset.

Symbols: W windows, C channels (S states, then actions).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.runtime import Simulator, load
from kinemill.runtime.window_metrics import QUIETLY, Floats, cut_windows, deviations
from kinemill.store import (
    ArtifactRef,
    Json,
    from_json_value,
    get_or_build,
    open_ref,
    read_json,
)
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import Champion

STAGE = "drift_reference"
VERSION = 3
EPISODES = 200  # maximum number of held-out episodes, enough for the 95 % quantile
SAMPLE = 2000  # training rows for the comparison of distributions
MIN_STRETCHES = 5  # minimum number of stretches to estimate the variation of errors
USUAL = 0.95  # quantile of the errors of held-out stretches that is the usual error
NEGLIGIBLE = 0.01  # relative to the standard deviation in training; smaller errors are ignored
STILL = 1e-12  # a smaller standard deviation counts as 1, as in the scaling of the model
CHUNK = 1024  # windows per prediction, bounds memory


@dataclass(frozen=True)
class Reference:
    """The champion's error at training time.

    Attributes:
        ref: its artifact.
        squares: squared error at the horizon, (W, S), for each held-out episode.
        sample: rows of training, (rows, C).
        floor: smallest usual error, (S,).
        shortest: windows of a stretch of 1 s, or of one horizon where that is longer.
        held_out: root mean square error on all held-out episodes, by state.
    """

    ref: ArtifactRef
    squares: list[Floats]
    sample: Floats
    floor: Floats
    shortest: int
    held_out: dict[str, float]

    def usual(self, windows: int) -> Floats:
        """Return the 95 % quantile (S,) of the errors of held-out stretches of `windows` windows.

        Stretches are as long as the evaluated episode if held-out episodes are long enough, because
        the error of a short stretch varies more. With fewer than five such stretches they are cut
        to `shortest` windows, as in verification; the bound is then rather too large.
        """
        stretches = sum(max(1, len(square) // windows) for square in self.squares)
        size = windows if stretches >= MIN_STRETCHES else min(windows, self.shortest)
        blocks = [
            np.sqrt(block.mean(axis=0))
            for square in self.squares
            for block in np.array_split(square, max(1, len(square) // size))
        ]
        return np.maximum(np.quantile(np.array(blocks), USUAL, axis=0), self.floor)


@QUIETLY
def squares_of(
    simulator: Simulator, values: NDArray[np.floating], horizon: int, stride: int
) -> Floats:
    """Return the squared error at the last step of every window of (N, C) rows, (W, S), units².

    A window starts at every `stride`-th row with the history of the model. An episode that is
    shorter than history and horizon has no window.
    """
    history = simulator.history
    names = simulator.states
    angle = np.array([name in simulator.interface.angles for name in names])
    starts = np.arange(0, len(values) - history - horizon + 1, stride, dtype=np.int64)
    chunks = [np.empty((0, len(names)))]
    for first in range(0, len(starts), CHUNK):
        part = starts[first : first + CHUNK]
        windows = cut_windows(values, len(names), part, history, horizon)
        chunks.append(deviations(simulator, windows, angle)[:, -1] ** 2)
    return np.concatenate(chunks)


def make_reference(task: Task, home: Home, champion: Champion, simulator: Simulator) -> Reference:
    """Measure a champion on its own held-out episodes, or return the cached result.

    Raises:
        BadInput: No episode has a window, or the rollouts diverge.
        CorruptArtifact: The dataset is damaged.
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
    squares = np.load(folder / "squares.npy")
    counts = read_json(folder / "windows.json")
    sample = np.load(folder / "sample.npy").astype(np.float64)
    deviation = sample[:, : squares.shape[1]].std(axis=0)
    return Reference(
        artifact.ref,
        np.split(squares, np.cumsum(counts)[:-1]),
        sample,
        NEGLIGIBLE * np.where(deviation > STILL, deviation, 1.0),
        -(-max(round(1.0 / task.dt), task.verify.horizon) // task.verify.stride),
        from_json_value(artifact.summary, dict[str, float], Path(artifact.ref.path)),
    )


def _measure(task: Task, champion: Champion, simulator: Simulator, folder: Path) -> Json:
    horizon = task.verify.horizon
    stride = task.verify.stride
    measured = (
        squares_of(simulator, rows, horizon, stride) for *_, rows in champion.held_out(EPISODES)
    )
    squares_by_episode = [squares for squares in measured if len(squares)]
    where = f"champion version {champion.version}"
    if not squares_by_episode:
        raise BadInput(
            where,
            "has no held-out episode that is long enough",
            expected=f"history + horizon = {simulator.history + horizon} rows",
            fix="lower verify.horizon, or hold out longer episodes",
        )
    all_squares = np.concatenate(squares_by_episode)
    if not np.isfinite(all_squares).all():
        raise BadInput(where, "its rollouts diverge on its held-out episodes")
    np.save(folder / "squares.npy", all_squares)
    np.save(folder / "sample.npy", champion.training_rows(SAMPLE))
    (folder / "windows.json").write_text(str([len(squares) for squares in squares_by_episode]))
    rmse = np.sqrt(all_squares.mean(axis=0)).tolist()
    return dict(zip(simulator.states, rmse, strict=True))


def open_simulator(task: Task, champion: Champion) -> Simulator:
    """Load the champion's exported model.

    Raises:
        BadInput: Its interface differs from the current channels of the task.
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
        differences = "; ".join(f"{name} {getattr(interface, name)}" for name in differing)
        expected = "; ".join(f"{name} {now[name]}" for name in differing)
        raise BadInput(
            f"champion version {champion.version}",
            f"has another interface than the task: {differences}",
            expected=expected,
            fix=f"kinemill run {task.name} trains a model for it",
        )
    return simulator
