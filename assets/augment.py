"""Training set: the training episodes of the dataset and what augmentation adds to them.

From: dataset. Copies are physically consistent, follow from the seed and the episode's id, and
never touch validation or test; those that fail a physical check are left out and counted. The table
says which share of the episodes each augmentation touched, the picture shows one before and after.
Scaling stays that of the originals. Refreshed with the dataset or when the task's `augment` part
changes.
"""

import dagster as dg

from assets.metadata import build_metadata, picture, table
from assets.stage import Events, emit, get_task_resource, stage
from kinemill.store import ArtifactRef
from kinemill.task import Task


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `training_set` of a task."""

    @stage(task, "training_set", __doc__, after=["dataset"], kinds={"numpy"})
    def training_set(context: dg.AssetExecutionContext, dataset: ArtifactRef) -> Events:
        from kinemill.augment import augment
        from resources.pictures import before_after

        mill = get_task_resource(context)
        outcome = augment(mill.task, mill.home, dataset)
        counts = outcome.summary
        drawn = before_after(mill.home, mill.task.name, outcome.ref)
        yield from emit(
            context,
            outcome,
            build_metadata(
                episodes=counts["episodes"],
                rows=counts["rows"],
                augmentations=table(counts["augmentations"]),
                before_after=picture(drawn) if drawn else None,
            ),
        )

    return training_set
