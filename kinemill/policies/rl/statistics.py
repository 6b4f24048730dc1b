"""Statistics of a training at an evaluation: one line for logs, and a table for terminals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kinemill.policies.environments.evaluation import Trials
from kinemill.tracking.statistics import START

_MOST = 12  # most actions, and most events, in a table
_PARTS = ("mean", "std", "min", "max")
_BARS = " ▁▂▃▄▅▆▇█"  # by the share of the most frequent bin
_BINS = 8  # from minimum to maximum


@dataclass(frozen=True)
class Distribution:
    """Mean, standard deviation, minimum and maximum of some values; None: not measured.

    `counts` are the bins of their histogram, from the minimum to the maximum.
    """

    mean: float
    std: float
    min: float | None = None
    max: float | None = None
    counts: tuple[int, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, values: Sequence[float]) -> "Distribution":
        """Return the distribution of at least one value."""
        array = np.asarray(values, dtype=float)
        is_finite = np.isfinite(array).all()
        # From the minimum on: there are no bins between numbers that differ in the last bit.
        counts = np.histogram(array - array.min(), _BINS)[0] if is_finite else ()
        parts = [float(getattr(array, part)()) for part in _PARTS]
        return cls(*parts, counts=tuple(int(count) for count in counts))

    @property
    def bars(self) -> str:
        """The histogram as text, such as `▁▃█▂    `."""
        most = max(self.counts, default=1)
        heights = [-(-count * (len(_BARS) - 1) // most) for count in self.counts]
        return "".join(_BARS[height] for height in heights).ljust(_BINS)

    def metrics(self, name: str) -> dict[str, float]:
        """Return all but the mean, as `NAME_std`, `NAME_min` and `NAME_max`."""
        parts = {part: getattr(self, part) for part in _PARTS[1:]}
        return {f"{name}_{part}": value for part, value in parts.items() if value is not None}


def training_distributions(
    episodes: Sequence[Mapping[str, float]], actions: Sequence[str]
) -> dict[str, Distribution]:
    """Return the distributions of training episodes: return, length, actions, events."""
    if not episodes:
        return {}
    distributions = {
        f"train {key}": Distribution.of([episode[key] for episode in episodes])
        for key in ("return", "length")
    }
    for index, name in enumerate(actions[:_MOST]):
        keys = [f"action/{index}/{part}" for part in _PARTS]
        parts = [[episode[key] for episode in episodes if key in episode] for key in keys]
        if parts[0]:
            ends = (min(parts[2], default=None), max(parts[3], default=None))
            distributions[f"action {name}"] = Distribution(
                float(np.mean(parts[0])), float(np.mean(parts[1])), *ends
            )
    events = dict.fromkeys(
        key for episode in episodes for key in episode if key.startswith("event/")
    )
    for key in list(events)[:_MOST]:
        values = [episode.get(key, 0.0) for episode in episodes]
        distributions[f"event {key.removeprefix('event/')}"] = Distribution.of(values)
    return distributions


def evaluation_distributions(trials: Trials) -> dict[str, Distribution]:
    """Return the distributions of an evaluation: return and length."""
    lengths = [float(length) for length in trials.lengths]
    return {
        "evaluation return": Distribution.of(trials.returns),
        "evaluation length": Distribution.of(lengths),
    }


def evaluation_text(
    distributions: Mapping[str, Distribution],
    *,
    step: int,
    pace: float,
    count: int,
    success: float | None,
    is_best: bool,
) -> str:
    """Return the line and the table of an evaluation.

    Args:
        distributions: those of the evaluation, and of the training episodes.
        step: environment steps so far.
        pace: environment steps per second.
        count: training episodes since the last evaluation.
        success: share of successful evaluation episodes, if the environment has it.
        is_best: whether the policy is the best so far.
    """
    returns = distributions["evaluation return"]
    lengths = distributions["evaluation length"]
    succeeded = "" if success is None else f", success {success:.0%}"
    line = (
        f"{START}{step:,}: return {returns.mean:.4g} std {returns.std:.3g} min "
        f"{returns.min:.4g} max {returns.max:.4g}, length {lengths.mean:.4g}{succeeded}, "
        f"{count} training episodes, {pace:,.0f} steps/s"
        f"{', new best policy' if is_best else ''}"
    )
    width = max(map(len, distributions))
    head = f"{'':<{width}}" + "".join(f"{part:>11}" for part in _PARTS) + "  histogram"
    rows = [
        f"{name:<{width}}"
        + "".join(_cell(getattr(values, part)) for part in _PARTS)
        + f"  {values.bars:<9}"
        for name, values in distributions.items()
    ]
    return "\n".join([line, head, *rows])


def _cell(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.4g'):>11}"
