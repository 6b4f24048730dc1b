"""Free run: simulate whole episodes from their first rows, on the actions alone.

Symbols: E episodes, H history, T steps, S states, A actions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.runtime import wrapped
from kinemill.runtime.window_metrics import QUIETLY, Floats, Predictor, Windows, predict
from kinemill.verify.accuracy import is_angle
from kinemill.verify.comparison import MARGIN, Comparison
from kinemill.verify.errors import named, normalized
from kinemill.verify.scale import Scale, training_scale
from kinemill.verify.significance import compare_blocks, episode_blocks

LONGEST = 50_000  # steps of an episode that are run
BATCH_STEPS = 500_000  # steps run in one batch, padding counted: bounds memory


@dataclass(frozen=True)
class FreeRun:
    """Errors of one predictor over whole episodes.

    Attributes:
        episodes: those that are long enough, in the order of `by_episode`.
        steps: predicted in each, (E,).
        by_episode: root mean square over the steps of each, (E, S), in units.
        channels: names of the S states.
        scale: of errors, from the training rows.
    """

    episodes: tuple[PackedEpisode, ...]
    steps: Floats
    by_episode: Floats
    channels: tuple[str, ...]
    scale: Scale

    @property
    def std(self) -> Floats:
        """Standard deviation of each state in training, (S,), the divisor of nRMSE."""
        return self.scale.std

    @property
    def rmse(self) -> Floats:
        """Root mean square over all steps of all episodes, (S,), in units."""
        return np.sqrt(np.average(self.by_episode**2, axis=0, weights=self.steps))

    @property
    def nrmse(self) -> float:
        """RMSE over spread, averaged over the channels that move."""
        return float(normalized(self.rmse, self.std))

    def compare(self, reference: "FreeRun", margin: float = MARGIN) -> dict[str, Comparison]:
        """Compare with a reference over the same whole episodes: `nrmse`, then each channel.

        Args:
            reference: run over the same episodes, with the same scale.
            margin: of `Comparison.p_worse`.
        """
        return named(self.channels, self._compared(reference, margin), self.scale)

    def against(
        self, reference: "FreeRun", channel: str | None = None, margin: float = MARGIN
    ) -> Comparison:
        """Compare with a reference over the same episodes, by nrmse or one channel's RMSE."""
        comparisons = self._compared(reference, margin)
        return comparisons[0 if channel is None else 1 + self.channels.index(channel)]

    @QUIETLY
    def _compared(self, reference: "FreeRun", margin: float) -> list[Comparison]:
        # An episode is one window: a drift lasts to its end.
        squares = [run.by_episode**2 for run in (self, reference)]
        return compare_blocks(episode_blocks(squares, self.steps), self.scale, margin)


@QUIETLY
def free_run(
    predictor: Predictor,
    dataset: PackedDataset,
    split: str,
    history: int,
    scale: Scale | None = None,
) -> FreeRun:
    """Run every episode of a split from its first `history` rows on.

    Args:
        predictor: a model or reference.
        dataset: with the episodes.
        split: which of them.
        history: rows at the start, at least the predictor's history.
        scale: of errors; default that of the dataset's own training rows.
    """
    errors = dict[PackedEpisode, Floats]()
    angle = is_angle(dataset)
    for group in _groups(dataset.of(split), history):
        windows = _whole(dataset, group, history)
        deviation = wrapped(predict(predictor, windows) - windows.truth, angle)
        for episode, by_episode in zip(group, deviation, strict=True):
            steps = _steps(episode, history)
            errors[episode] = np.sqrt((by_episode[:steps] ** 2).mean(axis=0))
    run = tuple(episode for episode in dataset.of(split) if episode in errors)
    steps = np.array([_steps(episode, history) for episode in run], dtype=np.float64)
    by_episode = np.stack([errors[episode] for episode in run])
    return FreeRun(run, steps, by_episode, tuple(dataset.states), scale or training_scale(dataset))


def _steps(episode: PackedEpisode, history: int) -> int:
    return min(episode.rows - history, LONGEST)


def _groups(episodes: list[PackedEpisode], history: int) -> Iterator[list[PackedEpisode]]:
    """Yield batches of episodes with similar lengths, so that padding is small."""
    group = list[PackedEpisode]()
    for episode in sorted(episodes, key=lambda one: one.rows):
        steps = _steps(episode, history)
        if steps < 1:
            continue
        if group and (len(group) + 1) * steps > BATCH_STEPS:
            yield group
            group = []
        group.append(episode)
    if group:
        yield group


def _whole(dataset: PackedDataset, episodes: list[PackedEpisode], history: int) -> Windows:
    """Stack whole episodes; an ended episode repeats its last row."""
    longest = max(_steps(episode, history) for episode in episodes)
    offsets = np.arange(history + longest)
    rows = np.stack([np.minimum(one.start + offsets, one.stop - 1) for one in episodes])
    values = dataset.take(rows).astype(np.float64)
    states, actions = np.split(values, [len(dataset.states)], axis=2)
    return Windows(
        states=states[:, :history],
        past_actions=actions[:, : history - 1],
        actions=actions[:, history - 1 : -1],
        truth=states[:, history:],
    )
