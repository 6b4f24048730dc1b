"""References: simple models fitted to the dataset, to be beaten by a trained model.

Input: dataset. Persistence, constant velocity, linear models with several lengths of history, and
simple physics if the channels allow it. They are fitted to the training split and selected on the
validation split, never on the test split. The table shows the best member of each family, and
whether it stays bounded over whole episodes. Rebuilt when the dataset, channels or `verify.horizon`
change.
"""

import dagster as dg

from kinemill.store import ArtifactRef, Json
from kinemill.verify.document import ReferencesFacts
from kinemill_dagster.assets.metadata import build_metadata, table
from kinemill_dagster.assets.stage import ChainSettings, Events, emit, stage
from kinemill_dagster.resources.task_resource import TaskResource


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `references` of a task."""

    @stage(settings, "references", __doc__, after=["dataset"], kinds={"numpy"})
    def references(
        context: dg.AssetExecutionContext, resource: TaskResource, dataset: ArtifactRef
    ) -> Events:
        from kinemill.verify.references import load_references
        from kinemill.verify.references import stage as references_stage

        artifact = references_stage.run(resource.task, resource.home, dataset)
        loaded = load_references(resource.home, artifact.ref)
        yield from emit(
            context,
            artifact,
            build_metadata(best_reference=loaded.best, references=table(_rows(loaded.facts()))),
        )

    return references


def _rows(references: ReferencesFacts) -> list[Json]:
    """Return a row per family: best member and its stability, or the reason of a failure.

    Errors are nRMSE at the horizon on the validation split; `stable_error` is that of the best
    member whose whole-episode rollouts stay bounded.
    """
    families = [
        {
            "reference": name,
            "history": family.strongest.history,
            "ridge": family.strongest.ridge,
            "error": family.strongest.validation_nrmse,
            "stable_error": family.stable.validation_nrmse if family.stable else None,
            "left_out": None,
        }
        for name, family in references.families.items()
    ]
    left_out = references.left_out.items()
    return [*families, *({"reference": name, "left_out": why} for name, why in left_out)]
