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
from kinemill_dagster.assets.stage import ChainSettings, Events, emit, stage
from kinemill_dagster.resources.io import note
from kinemill_dagster.resources.lines import Lines
from kinemill_dagster.resources.task_resource import TaskResource
from kinemill_dagster.resources.training import link_training, run_page, train_elsewhere


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `model` of a task."""
    learn = settings.task.learn
    is_dynamics = learn.from_logs and learn.gives == "dynamics"
    after = ["dataset"]
    after += ["training_set"] if learn.from_logs else []
    after += ["references"] if is_dynamics else []
    kinds = {"pytorch", "mlflow", *([] if learn.from_logs else ["gymnasium"])}

    @stage(settings, "model", __doc__, after=after, kinds=kinds)
    def model(
        context: dg.AssetExecutionContext,
        resource: TaskResource,
        dataset: ArtifactRef,
        **made: ArtifactRef,
    ) -> Events:
        trained = train_elsewhere(context, resource, dataset, made.get("training_set", dataset))
        if not is_dynamics:
            yield from emit(context, trained, _about_training(resource, trained))
            return
        from kinemill.selection.selected_model import select_model

        task = resource.task
        home = resource.home
        selected, selection = select_model(
            task, home, trained, dataset, made["references"], Lines(context)
        )
        link_training(resource, selected.ref, trained.ref)
        note(home, context.run.run_id, task.name, "selection", to_json_value(selection))
        about = _about_training(resource, selected) | build_metadata(
            selected=f"{selection.selected}: {selection.why}",
            candidates=_candidates(selection.candidates),
        )
        yield from emit(context, selected, about)

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
