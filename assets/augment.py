"""Training set: the training episodes of the dataset and their augmented copies.

Input: dataset. Copies are physically consistent and determined by the seed and the episode's id.
Validation and test episodes are not augmented. Copies that fail a physical check are dropped and
counted. The table shows the share of episodes per augmentation. Scaling uses the original episodes.
Rebuilt when the dataset or the task's `augment` part changes.
"""

from dataclasses import asdict

import dagster as dg

from kinemill.store import ArtifactRef
from kinemill_dagster.assets.metadata import build_metadata, table
from kinemill_dagster.assets.stage import ChainSettings, Events, emit, stage
from kinemill_dagster.resources.task_resource import TaskResource


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `training_set` of a task."""

    @stage(settings, "training_set", __doc__, after=["dataset"], kinds={"numpy"})
    def training_set(
        context: dg.AssetExecutionContext, resource: TaskResource, dataset: ArtifactRef
    ) -> Events:
        from kinemill.augment import stage as augment

        artifact = augment.run(resource.task, resource.home, dataset)
        summary = augment.TrainingSetSummary.of(artifact)
        yield from emit(
            context,
            artifact,
            build_metadata(
                episodes=summary.episodes,
                rows=summary.rows,
                augmentations=table(
                    [asdict(augmentation) for augmentation in summary.augmentations]
                ),
            ),
        )

    return training_set
