"""References: simple models fitted to the dataset, to be beaten by a trained model.

Input: dataset. Persistence, constant velocity, linear models with several lengths of history, and
simple physics if the channels allow it. Members of a family are ranked on recordings that are left
out of their fits, never on the test split; those that diverge in free run are left out. The table
shows the selected member of each family. Rebuilt when the dataset, channels or `verify.horizon`
change.
"""

import dagster as dg

from kinemill.selection.reference_facts import ReferencesFacts
from kinemill.store import ArtifactRef, Json
from kinemill_dagster.assets.metadata import build_metadata, table
from kinemill_dagster.assets.stage import ChainSettings, Events, emit, stage
from kinemill_dagster.resources.task_resource import TaskResource


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `references` of a task."""

    @stage(settings, "references", __doc__, after=["dataset"], kinds={"numpy"})
    def references(
        context: dg.AssetExecutionContext, resource: TaskResource, dataset: ArtifactRef
    ) -> Events:
        from kinemill.selection.references import stage as references_stage

        artifact = references_stage.run(resource.task, resource.home, dataset)
        facts = references_stage.facts_of(artifact)
        yield from emit(
            context,
            artifact,
            build_metadata(best_reference=facts.best, references=table(_rows(facts))),
        )

    return references


def _rows(references: ReferencesFacts) -> list[Json]:
    """Return a row per family: its selected member, or why there is none.

    Score and error at the horizon are in standard deviations, on rows left out of the fits.
    """
    families = [
        {
            "reference": name,
            "history": member.history,
            "ridge": member.ridge,
            "score": member.score,
            "error": member.error,
            "stable": member.stable,
            "left_out": None,
        }
        for name, member in references.families.items()
    ]
    left_out = references.left_out.items()
    return [*families, *({"reference": name, "left_out": why} for name, why in left_out)]
