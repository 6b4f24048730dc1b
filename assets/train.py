"""Model: the trained network of a dynamics model or a policy, or a reference that is better.

Inputs: dataset (validation), training set and references, or the card of an environment. A dynamics
model that loses to a reference on the validation split, or diverges on a recorded episode, is
replaced by the best reference; `candidates` lists all of them. Training runs in a
separate process with live metrics in MLflow and live lines in the run's log. It resumes from the
last checkpoint after a kill, and keeps the weights with the best validation error or return.
Rebuilt when the data or the task's `learn` part changes; otherwise the cached model is used.
"""

import dagster as dg

from kinemill.store import Artifact, ArtifactRef, Json, to_json_value
from kinemill.task.portfolio import CandidateResult
from kinemill.train.summary import ModelSummary
from kinemill_dagster.assets.metadata import build_metadata, picture, table
from kinemill_dagster.assets.stage import ChainSettings, Events, Lines, emit, stage
from kinemill_dagster.resources.io import note
from kinemill_dagster.resources.task_resource import TaskResource
from kinemill_dagster.resources.training import link_training, run_page, train_elsewhere

_KINDS = {"pytorch", "mlflow"}


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `model` of a task."""
    if not settings.task.learn.from_logs:
        return _from_card(settings)

    if settings.task.learn.gives == "dynamics":
        return _selected(settings)

    @stage(settings, "model", __doc__, after=["dataset", "training_set"], kinds=_KINDS)
    def model(
        context: dg.AssetExecutionContext,
        resource: TaskResource,
        dataset: ArtifactRef,
        training_set: ArtifactRef,
    ) -> Events:
        artifact = train_elsewhere(context, resource, dataset, training_set)
        yield from emit(context, artifact, _about_training(resource, artifact))

    return model


def _selected(settings: ChainSettings) -> dg.AssetsDefinition:
    after = ["dataset", "training_set", "references"]

    @stage(settings, "model", __doc__, after=after, kinds=_KINDS)
    def model(
        context: dg.AssetExecutionContext,
        resource: TaskResource,
        dataset: ArtifactRef,
        training_set: ArtifactRef,
        references: ArtifactRef,
    ) -> Events:
        from kinemill.selection.selected_model import select_model

        task, home = resource.task, resource.home
        trained = train_elsewhere(context, resource, dataset, training_set)
        selected, selection = select_model(task, home, trained, dataset, references, Lines(context))
        link_training(resource, selected.ref, trained.ref)
        note(home, context.run.run_id, task.name, "selection", to_json_value(selection))
        about = _about_training(resource, selected) | build_metadata(
            selected=f"{selection.selected}: {selection.why}",
            candidates=_candidates(selection.candidates),
        )
        yield from emit(context, selected, about)

    return model


def _from_card(settings: ChainSettings) -> dg.AssetsDefinition:
    @stage(settings, "model", __doc__, after=["dataset"], kinds={*_KINDS, "gymnasium"})
    def model(
        context: dg.AssetExecutionContext, resource: TaskResource, dataset: ArtifactRef
    ) -> Events:
        artifact = train_elsewhere(context, resource, dataset, dataset)
        yield from emit(context, artifact, _about_training(resource, artifact))

    return model


def _about_training(resource: TaskResource, trained: Artifact) -> Json:
    summary = ModelSummary.of(trained)
    folder = resource.home.root / trained.ref.path
    return build_metadata(
        family=summary.family,
        steps=summary.steps,
        epochs=None if resource.task.learn.epochs is None else summary.epochs,
        **{_metric_label(summary.monitor): summary.best},
        parameters=summary.parameters,
        seed=resource.task.learn.seed,
        loss_curve=picture(folder / "loss.png"),
        mlflow_run=run_page(resource, trained.ref),
    )


def _candidates(results: list[CandidateResult]) -> dg.TableMetadataValue | None:
    """Return the candidates of a run, the best first."""
    return table(
        [
            {
                "candidate": result.name,
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
