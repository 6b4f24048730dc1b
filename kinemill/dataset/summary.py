"""Summary of a dataset version, stored with the artifact."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kinemill.dataset.packed import PackedDataset
from kinemill.store import StoredSummary

WARNED_SHARE = 0.1  # share of the rows of a split from which a warning is given


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and standard deviation of a channel in training, in `unit`; `delta_std` of a state."""

    unit: str
    mean: float
    std: float
    delta_std: float | None = None


@dataclass(frozen=True)
class NearDuplicates:
    """Near-duplicates in a dataset.

    Attributes:
        recordings: number of units that stay with the one they duplicate.
        torn: number of groups in more than one split.
        listed: recording names by split, of the first torn groups.
    """

    recordings: int = 0
    torn: int = 0
    listed: list[dict[str, list[str]]] = field(default_factory=list[dict[str, list[str]]])


@dataclass(frozen=True)
class Leakage:
    """Shares of the rows of a split that repeat training rows, 0 to 1.

    Attributes:
        copies: equal samples.
        repetitions: the same course again, with new noise.
    """

    copies: float
    repetitions: float


@dataclass(frozen=True)
class DatasetSummary(StoredSummary):
    """Numbers of a dataset version.

    Attributes:
        episodes: number by split, `unused` included.
        rows: number by split.
        statistics: by channel.
        unmatched: split patterns that match nothing.
        coarse: sentences about channels that float32 holds coarsely.
        repeats: near-duplicates.
        independence: data leakage of validation and test.
        outside: share of the test rows outside of the training range, by channel; channels without
            a fixed zero are left out.
    """

    episodes: dict[str, int]
    rows: dict[str, int]
    statistics: dict[str, ChannelStatistics]
    unmatched: list[str] = field(default_factory=list[str])
    coarse: list[str] = field(default_factory=list[str])
    repeats: NearDuplicates = field(default_factory=NearDuplicates)
    independence: dict[str, Leakage] = field(default_factory=dict[str, Leakage])
    outside: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def warnings(self) -> list[str]:
        """Warnings to show to the user."""
        texts = [f"dataset.{pattern} matches nothing" for pattern in self.unmatched]
        texts += self.coarse
        outside = [
            f"{name} {share:.0%}" for name, share in self.outside.items() if share >= WARNED_SHARE
        ]
        if outside:
            texts.append(
                f"test rows are outside the range of the training rows ({', '.join(outside)}), so "
                "errors tell how the model extrapolates; train on such recordings too"
            )
        for splits in self.repeats.listed:
            names = "; ".join(
                f"{side}: {', '.join(names_of_side[:3])}" for side, names_of_side in splits.items()
            )
            texts.append(f"near-duplicates are in different splits ({names})")
        if (more := self.repeats.torn - len(self.repeats.listed)) > 0:
            texts.append(f"{more} more groups of near-duplicates are in different splits")
        for side, leakage in self.independence.items():
            if leakage.copies >= WARNED_SHARE:
                texts.append(
                    f"about {leakage.copies:.0%} of the {side} rows are copies of training rows, "
                    "so errors look small; use other recordings"
                )
            # The lines above name the recordings if whole recordings are apart.
            if leakage.repetitions >= WARNED_SHARE and not self.repeats.torn:
                texts.append(
                    f"about {leakage.repetitions:.0%} of the {side} rows repeat a motion of the "
                    "training rows with new noise, so errors tell how well it is repeated, not "
                    "how other motions are predicted"
                )
        return texts


def channel_statistics(dataset: PackedDataset) -> dict[str, ChannelStatistics]:
    """Return the statistics of training by channel."""
    delta_std: Mapping[str, float] = dict(
        zip(dataset.states, dataset.delta_std.tolist(), strict=True)
    )
    columns = zip(dataset.columns, dataset.mean.tolist(), dataset.std.tolist(), strict=True)
    return {
        name: ChannelStatistics(dataset.units[name], mean, std, delta_std.get(name))
        for name, mean, std in columns
    }
