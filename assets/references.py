"""References: the simple models that a trained model has to beat, fitted on the dataset.

From: dataset. Persistence, constant velocity, linear models over several lengths of history and the
simple physics that the channels allow: fitted on the training split, chosen on the validation
split. The test split chooses nothing. The table shows the best member of each family, and whether
it stays bounded over whole episodes. Refreshed when the dataset, channels or `verify.horizon`
change.
"""

import dagster as dg

from assets.metadata import build_metadata, table
from assets.stage import Events, emit, get_task_resource, stage
from kinemill.store import ArtifactRef, Json
from kinemill.task import Task


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `references` of a task."""

    @stage(task, "references", __doc__, after=["dataset"], kinds={"numpy"})
    def references(context: dg.AssetExecutionContext, dataset: ArtifactRef) -> Events:
        from kinemill.verify.references import build_references, load_references

        mill = get_task_resource(context)
        outcome = build_references(mill.task, mill.home, dataset)
        known = load_references(mill.home, outcome.ref)
        yield from emit(
            context,
            outcome,
            build_metadata(best_reference=known.best, references=table(_rows(known.to_json()))),
        )

    return references


def _rows(known: Json) -> list[Json]:
    """Return a row for each family: its strongest member, whether that lasts, or why it has none.

    Errors are nRMSE at the horizon on the validation split; `lasting` is that of the best member
    whose whole-episode rollouts stay bounded.
    """
    families = [
        {
            "reference": name,
            "history": found["strongest"].get("history"),
            "ridge": found["strongest"].get("ridge"),
            "error": found["strongest"]["validation_nrmse"],
            "lasting": (found["stable"] or {}).get("validation_nrmse"),
            "left_out": None,
        }
        for name, found in known["families"].items()
    ]
    return [*families, *({"reference": n, "left_out": why} for n, why in known["left_out"].items())]
