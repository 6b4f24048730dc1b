"""Dataset: the accepted episodes, split, packed and measured; a frozen version.

From: episodes. Rows are float32 in the task's units at the task's time step, one episode after the
other. The split is by recording through a stable hash, or by the patterns of the task file, so
nothing changes side as data grows. Mean and standard deviation are those of the training split
alone. Refreshed when an episode is accepted or the task's `dataset` part changes.
"""

import dagster as dg

from assets.stage import Events, hand_on, mill_of, stage
from assets.vocabulary import drawing, say, table
from kinemill.spec import Task
from kinemill.store import Ref


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `dataset` of a task."""

    @stage(task, "dataset", __doc__, after=["episodes"], kinds={"numpy"})
    def dataset(context: dg.AssetExecutionContext, episodes: Ref) -> Events:
        from kinemill.dataset import load_dataset, make_dataset, warnings
        from kinemill.dataset.histograms import histogram_sheet

        mill = mill_of(context)
        outcome = make_dataset(mill.task, mill.home, episodes)
        counts, packed = outcome.summary, load_dataset(mill.home, outcome.ref)
        for warning in warnings(counts):
            context.log.warning(warning)
        yield from hand_on(
            context,
            outcome,
            say(
                episodes=sum(counts["episodes"].values()),
                rows=sum(counts["rows"].values()),
                histograms=drawing(histogram_sheet(packed)),
                splits=table(
                    [
                        {"split": split, "episodes": number, "rows": counts["rows"].get(split)}
                        for split, number in counts["episodes"].items()
                    ]
                ),
                statistics=table(
                    [
                        {"channel": name, "unit": packed.units[name], "mean": mean, "std": std}
                        for name, mean, std in zip(
                            mill.task.columns, packed.mean, packed.std, strict=True
                        )
                    ]
                ),
            ),
        )

    return dataset
