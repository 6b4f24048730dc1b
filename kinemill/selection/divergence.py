"""Free runs of recorded episodes: whether a model diverges on one of them.

A model that diverges breaks what runs it, however small its error is elsewhere. So selection serves
no such model, and the gate refuses it. This is the only use of test episodes in a selection.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.dataset.scale import training_range
from kinemill.dataset.windows import whole_episodes
from kinemill.runtime.window_metrics import QUIETLY, Predictor, predict

SPLITS = ("test", "validation", "train")
STARTS = 5  # an unstable model may run well from most rows and away from another
MOST_RUNS = 40  # episodes that are simulated as a whole, and their most steps
LONGEST_RUN = 20_000
BATCH_ROWS = 400_000  # rows that are simulated as one batch, which bounds memory
DIVERGED = 1000.0  # ranges


@dataclass(frozen=True)
class Runs:
    """Free runs of recorded episodes: how many, and the names of those that diverge."""

    episodes: int
    diverged: tuple[str, ...] = ()


@QUIETLY
def free_runs(model: Predictor, rows: PackedDataset) -> Runs:
    """Simulate at most `MOST_RUNS` recorded episodes of all splits, each from `STARTS` rows.

    An episode diverges if a state is not finite or farther than `DIVERGED` ranges from its range in
    training: drift of an integrator stays far below it, and exponential growth does not.
    """
    simulated = simulated_episodes(rows, model.history)
    low, high = (ends[: len(rows.states)] for ends in training_range(rows))
    far = DIVERGED * np.where(high > low, high - low, 1.0)
    diverged = set[str]()
    for batch in _batches(simulated, model.history):
        windows, steps = whole_episodes(rows, batch, model.history, LONGEST_RUN)
        states = predict(model, windows)
        inside = (states >= low - far) & (states <= high + far)  # false for NaN
        is_padding = np.arange(states.shape[1]) >= steps[:, None]
        stays = (inside.all(axis=2) | is_padding).all(axis=1)
        diverged |= {run.name for run, stayed in zip(batch, stays, strict=True) if not stayed}
    names = [episode.name for episode in simulated if episode.name in diverged]
    return Runs(len(simulated), tuple(dict.fromkeys(names)))


def divergence(module: Any, rows: PackedDataset) -> str:
    """Return on how many recorded episodes a dynamics model in torch diverges; "" on none."""
    from kinemill.selection.validation_errors import ModulePredictor  # imports torch

    runs = free_runs(ModulePredictor(module), rows)
    count = len(runs.diverged)
    return f"diverges on {count} of {runs.episodes} recorded episodes" if count else ""


def simulated_episodes(rows: PackedDataset, history: int) -> list[PackedEpisode]:
    """Return at most `MOST_RUNS` episodes; those of training fill what the other splits leave."""
    simulated = list[PackedEpisode]()
    for split in SPLITS:
        episodes = [episode for episode in rows.of(split) if episode.rows > history]
        if room := MOST_RUNS - len(simulated):
            simulated += episodes[:: -(-len(episodes) // room) or 1]
    return simulated


def _batches(episodes: list[PackedEpisode], history: int) -> Iterator[list[PackedEpisode]]:
    """Yield the runs of all episodes, the longest first, as many at once as memory allows."""
    runs = [
        replace(episode, start=episode.start + (episode.rows - history) // STARTS * number)
        for episode in episodes
        for number in range(STARTS)
    ]
    runs.sort(key=lambda run: -run.rows)
    while runs:
        size = max(1, BATCH_ROWS // min(runs[0].rows, LONGEST_RUN))
        yield runs[:size]
        runs = runs[size:]
