"""Training set: the training episodes of the dataset and what augmentation adds to them.

From: dataset. Copies are physically consistent, follow from the seed and the episode's id, and
never touch validation or test; those that fail a physical check are left out and counted. The table
says which share of the episodes each augmentation touched, the picture shows one before and after.
Scaling stays that of the originals. Refreshed with the dataset or when the task's `augment` part
changes.
"""

import dagster as dg

from assets.metadata import picture, say, table
from assets.stage import Events, hand_on, mill_of, stage
from kinemill.store import Ref
from kinemill.task import Task


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `training_set` of a task."""

    @stage(task, "training_set", __doc__, after=["dataset"], kinds={"numpy"})
    def training_set(context: dg.AssetExecutionContext, dataset: Ref) -> Events:
        from kinemill.augment import augment
        from resources.pictures import before_after

        mill = mill_of(context)
        outcome = augment(mill.task, mill.home, dataset)
        counts = outcome.summary
        drawn = before_after(mill.home, mill.task.name, outcome.ref)
        yield from hand_on(
            context,
            outcome,
            say(
                episodes=counts["episodes"],
                rows=counts["rows"],
                augmentations=table(counts["augmentations"]),
                before_after=picture(drawn) if drawn else None,
            ),
        )

    return training_set
