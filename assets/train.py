"""Model: the trained network of a dynamics model or a policy.

Inputs: dataset (validation) and training set, or the card of an environment. Training runs in a
separate process with live metrics in MLflow and live lines in the run's log. It resumes from the
last checkpoint after a kill, and keeps the weights with the best validation error or return.
Rebuilt when the data or the task's `learn` part changes; otherwise the cached model is used.
"""

from pathlib import Path

import dagster as dg

from kinemill.store import Artifact, ArtifactRef, Json, read_document
from kinemill.task.portfolio import RESULTS, CandidateResult
from kinemill.train.summary import ModelSummary
from kinemill_dagster.assets.metadata import build_metadata, picture, table
from kinemill_dagster.assets.stage import ChainSettings, Events, emit, stage
from kinemill_dagster.resources.task_resource import TaskResource

_KINDS = {"pytorch", "mlflow"}


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `model` of a task."""
    if not settings.task.learn.from_logs:
        return _from_card(settings)

    @stage(settings, "model", __doc__, after=["dataset", "training_set"], kinds=_KINDS)
    def model(
        context: dg.AssetExecutionContext,
        resource: TaskResource,
        dataset: ArtifactRef,
        training_set: ArtifactRef,
    ) -> Events:
        yield from _trained(context, resource, dataset, training_set)

    return model


def _from_card(settings: ChainSettings) -> dg.AssetsDefinition:
    @stage(settings, "model", __doc__, after=["dataset"], kinds={*_KINDS, "gymnasium"})
    def model(
        context: dg.AssetExecutionContext, resource: TaskResource, dataset: ArtifactRef
    ) -> Events:
        yield from _trained(context, resource, dataset, dataset)

    return model


def _trained(
    context: dg.AssetExecutionContext,
    resource: TaskResource,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
) -> Events:
    from kinemill_dagster.resources.training import train_elsewhere

    artifact = train_elsewhere(context, resource, dataset, training_set)
    yield from emit(context, artifact, _about_training(resource, artifact))


def _about_training(resource: TaskResource, trained: Artifact) -> Json:
    from kinemill_dagster.resources.training import run_page

    summary = ModelSummary.of(trained)
    folder = resource.home.root / trained.ref.path
    return build_metadata(
        family=summary.family,
        families=_families(folder),
        steps=summary.steps,
        epochs=None if resource.task.learn.epochs is None else summary.epochs,
        **{_metric_label(summary.monitor): summary.best},
        parameters=summary.parameters,
        seed=resource.task.learn.seed,
        loss_curve=picture(folder / "loss.png"),
        mlflow_run=run_page(resource, trained.ref),
    )


def _families(model: Path) -> dg.TableMetadataValue | None:
    """Return the candidates of a portfolio, the best first; None without a portfolio."""
    if not (model / RESULTS).is_file():
        return None
    results = read_document(model / RESULTS, list[CandidateResult])
    return table(
        [
            {
                "family": result.name,
                "round": result.round,
                "score": result.score,
                **{f"{steps} steps": error for steps, error in (result.errors or {}).items()},
                "free run": result.free_run,
                "parameters": result.parameters,
                "seconds": result.seconds,
                "failure": result.failure,
            }
            for result in results
        ]
    )


def _metric_label(metric: str) -> str:
    """Return the metadata key of the best value of a series: `best_return` or `loss`."""
    return "best_return" if metric.endswith("return") else "loss"
