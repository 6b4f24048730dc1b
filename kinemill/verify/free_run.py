"""Free run: simulate whole episodes from their first rows and their actions.

Symbols: E episodes, H history, T steps, S states, A actions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.dataset.scale import Scale, training_scale
from kinemill.dataset.windows import is_angle, whole_episodes
from kinemill.runtime.window_metrics import QUIETLY, Floats, Predictor, deviations, normalized
from kinemill.verify.comparison import MARGIN, Comparison
from kinemill.verify.errors import named
from kinemill.verify.significance import compare_blocks, episode_blocks

LONGEST = 50_000  # most steps of an episode that are simulated
BATCH_STEPS = 500_000  # most steps in one batch, with padding, which bounds memory


@dataclass(frozen=True)
class FreeRun:
    """Errors of one predictor over whole episodes.

    Attributes:
        episodes: episodes that are long enough, in the order of `by_episode`.
        steps: number of predicted steps of each episode, (E,).
        by_episode: root mean square error over the steps of each episode, (E, S), in units.
        channels: names of the S states.
        scale: scale of errors, from the training rows.
    """

    episodes: tuple[PackedEpisode, ...]
    steps: Floats
    by_episode: Floats
    channels: tuple[str, ...]
    scale: Scale

    @property
    def std(self) -> Floats:
        """Standard deviation of each state in training, (S,), in units; the divisor of nRMSE."""
        return self.scale.std

    @property
    def rmse(self) -> Floats:
        """Root mean square over all steps of all episodes, (S,), in units."""
        return np.sqrt(np.average(self.by_episode**2, axis=0, weights=self.steps))

    @property
    def nrmse(self) -> float:
        """RMSE / training standard deviation, averaged over the channels that move in training."""
        return float(normalized(self.rmse, self.std))

    @QUIETLY
    def compare(self, reference: "FreeRun", margin: float = MARGIN) -> dict[str, Comparison]:
        """Compare with a reference over the same whole episodes: `nrmse`, then each channel."""
        # A drift lasts to the end of an episode, so parts of it are not independent: one window.
        squares = [run.by_episode**2 for run in (self, reference)]
        blocks = episode_blocks(squares, self.steps)
        return named(self.channels, compare_blocks(blocks, self.scale, margin), self.scale)


@QUIETLY
def free_run(
    predictor: Predictor,
    dataset: PackedDataset,
    split: str,
    history: int,
    scale: Scale | None = None,
) -> FreeRun:
    """Simulate every episode of a split from its first `history` rows.

    Args:
        predictor: a model or reference.
        dataset: dataset with the episodes.
        split: split of the episodes.
        history: known rows at the start of each episode, at least the history of the predictor.
        scale: scale of errors; default that of the dataset's own training rows.
    """
    errors = dict[PackedEpisode, Floats]()
    angle = is_angle(dataset)
    for group in _groups(dataset.of(split), history):
        windows, counts = whole_episodes(dataset, group, history, LONGEST)
        deviation = deviations(predictor, windows, angle)
        for episode, by_episode, count in zip(group, deviation, counts, strict=True):
            # Without the steps of the padding, which repeat the last row.
            errors[episode] = np.sqrt((by_episode[:count] ** 2).mean(axis=0))
    run = tuple(episode for episode in dataset.of(split) if episode in errors)
    steps = np.array([_steps(episode, history) for episode in run], dtype=np.float64)
    by_episode = np.stack([errors[episode] for episode in run])
    return FreeRun(run, steps, by_episode, tuple(dataset.states), scale or training_scale(dataset))


def _steps(episode: PackedEpisode, history: int) -> int:
    return min(episode.rows - history, LONGEST)


def _groups(episodes: list[PackedEpisode], history: int) -> Iterator[list[PackedEpisode]]:
    """Yield batches of episodes with similar lengths, which keeps the padding small."""
    group = list[PackedEpisode]()
    for episode in sorted(episodes, key=lambda packed: packed.rows):
        steps = _steps(episode, history)
        if steps < 1:
            continue
        # Episodes ascend in length, so this one is the longest and defines the padding.
        if group and (len(group) + 1) * steps > BATCH_STEPS:
            yield group
            group = []
        group.append(episode)
    if group:
        yield group
