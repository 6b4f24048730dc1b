"""Training as a job on the task's compute target; cached models are reused."""

import os
import threading
from pathlib import Path
from shutil import rmtree

import dagster as dg

from kinemill.errors import ProcessLost, TrainingFailed
from kinemill.store import Artifact, ArtifactRef, Json, publish_json, read_json, summary_of
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import WarmStart
from kinemill.train import TrainingJob
from kinemill_dagster.resources.compute import COMPUTE
from kinemill_dagster.resources.links import mlflow_link
from kinemill_dagster.resources.tags import RESUME
from kinemill_dagster.resources.task_resource import TaskResource

_JOB = "job.json"


def train_elsewhere(
    context: dg.AssetExecutionContext,
    resource: TaskResource,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
) -> Artifact:
    """Return the model for this task and data, trained in a separate process unless cached.

    Raises:
        TrainingFailed: The training ended without a model; its MLflow run is marked as failed.
        ProcessLost: It was ended from outside.
        BadInput: The run must resume a training, whose settings or data differ.
    """
    from kinemill.tracking import lock

    task = resource.task
    home = resource.home
    training = TrainingJob(task, home, dataset, training_set, start_of(task, home))
    if "model" in resource.recompute:
        rmtree(training.folder, ignore_errors=True)  # its last checkpoint is the cached model
    if RESUME in context.run.tags:
        training.check_resume(_begun(resource))
    if cached := training.find_model():
        return _link_cached(context, resource, training, cached)
    # Two processes would write the same checkpoints: the second waits, then uses the cached model.
    with lock(home, f"train/{task.name}/{training.folder.name}", context.log.info):
        if cached := training.find_model():
            return _link_cached(context, resource, training, cached)
        job = write_job(training, dagster_run=context.run.run_id)
        _note(context, training, read_json(job)["tracked"]["run_id"])
        _train(context, training, job)
        trained = training.find_model()
    if trained is None:
        raise TrainingFailed(job, "the training process succeeded but published no model")
    if not _run_file(resource, trained.ref).is_file():  # recorded on another machine
        publish_json(_run_file(resource, trained.ref), read_json(job)["tracked"])
    return Artifact(trained.ref, trained.summary, cached=False)


def _begun(resource: TaskResource) -> list[str]:
    """Return the names of the task's trainings by runs, without those of searches."""
    begun = resource.home.dagster / "trainings" / resource.task.name
    return [job.parent.name for job in begun.glob(f"*/{_JOB}")]


def _link_cached(
    context: dg.AssetExecutionContext,
    resource: TaskResource,
    training: TrainingJob,
    cached: Artifact,
) -> Artifact:
    """Link a cached model and its training to this run, and return the model."""
    _note(context, training, tracked_run(resource, cached.ref))
    return cached


def _note(context: dg.AssetExecutionContext, training: TrainingJob, mlflow_run: str | None) -> None:
    """Store the folder and MLflow run of this run's training."""
    from kinemill.tracking.run_links import TrainingLink, note_training

    home = training.home
    where = training.folder.relative_to(home.root).as_posix()
    link = TrainingLink(where, training.task.learn.steps, mlflow_run)
    note_training(home, context.run.run_id, link)


def _train(context: dg.AssetExecutionContext, training: TrainingJob, job: Path) -> None:
    from kinemill.tracking import MlflowTracker

    compute = training.task.compute
    tracker = MlflowTracker(training.home, read_json(job)["tracked"]["run_id"], training.folder)
    thread = threading.Thread(target=_load_exporter)  # while this process waits for another
    thread.start()
    try:
        COMPUTE[compute.type](context, job, compute, tracker)
        thread.join()
    except BaseException as error:
        has_failed = isinstance(error, Exception) and not isinstance(error, ProcessLost)
        tracker.end("FAILED" if has_failed else "KILLED")
        raise
    tracker.end()


def _load_exporter() -> None:
    from kinemill.export.step_files import warm_up

    warm_up()


def start_of(task: Task, home: Home) -> WarmStart | None:
    """Return the start model of the training, if the task has one."""
    if task.learn.start_from is None:
        return None  # without the registry, whose import takes a second
    from kinemill import register

    return register.start_of(task, home)


def write_job(training: TrainingJob, *, dagster_run: str) -> Path:
    """Start the MLflow run, write the job file of the training process, and return it."""
    from kinemill.tracking import end_orphans, log_dataset, open_tracking, start_run
    from kinemill.tracking.run_links import DAGSTER_RUN

    home = training.home
    task = training.task
    dataset = training.dataset
    end_orphans(home)  # runs of trainings with killed processes
    key = training.folder.name
    learn = task.learn
    tags = {DAGSTER_RUN: dagster_run}
    if pages := os.environ.get("KINEMILL_DAGSTER_URL"):  # served by `kinemill ui`
        history = f"[versions of {task.name}]({pages}/kinemill/tasks/{task.name})"
        tags["mlflow.note.content"] = f"[Run in Dagster]({pages}/runs/{dagster_run}), {history}"
    model = getattr(learn, "model", learn)
    kind = model.type if model else "portfolio"
    name = f"{task.name} {kind}, seed {learn.seed}, data {dataset.digest[:8]}"
    params = {"task": task.name, "dt": task.dt}
    run = start_run(home, task.name, key, params=params, tags=tags, name=name)
    tracking = open_tracking(home)
    log_dataset(tracking.client, run, task.name, dataset.digest, summary_of(home, dataset))
    job = {
        **training.to_json(),
        "tracked": {"run_id": run, "experiment": tracking.experiment(task.name)},
        "tracked_models": str(models_folder(home, task.name)),
    }
    path = home.dagster / "trainings" / task.name / key / _JOB
    publish_json(path, job)
    return path


def tracked_run(resource: TaskResource, model: ArtifactRef) -> str | None:
    """Return the MLflow run of a model's training, or None."""
    link = _mlflow_run(resource, model)
    return None if link is None else link["run_id"]


def link_training(resource: TaskResource, model: ArtifactRef, trained: ArtifactRef) -> None:
    """Link a selected model to the MLflow run of the training that it was selected after."""
    file, source = (_run_file(resource, ref) for ref in (model, trained))
    if file != source and source.is_file():
        publish_json(file, read_json(source))


def run_page(resource: TaskResource, model: ArtifactRef) -> dg.MetadataValue | None:
    """Return the page or the id of that run in MLflow, or None."""
    link = _mlflow_run(resource, model)
    if link is None:
        return None
    page = f"experiments/{link['experiment']}/runs/{link['run_id']}"
    return mlflow_link(resource.home, page, link["run_id"])


def files_page(resource: TaskResource, model: ArtifactRef, logged: str) -> dg.MetadataValue | None:
    """Return the page or the id of a version's files with the report in MLflow, or None."""
    link = _mlflow_run(resource, model)
    if link is None:
        return None
    page = f"experiments/{link['experiment']}/models/{logged}/artifacts"
    return mlflow_link(resource.home, page, logged)


def version_page(home: Home, task: str, version: int) -> dg.MetadataValue:
    """Return the page or the address of a registered version in MLflow."""
    return mlflow_link(home, f"models/{task}/versions/{version}", f"models:/{task}/{version}")


def _mlflow_run(resource: TaskResource, model: ArtifactRef) -> Json | None:
    """Return the ids of the run and the experiment of a model's training, or None."""
    file = _run_file(resource, model)
    return read_json(file) if file.is_file() else None


def _run_file(resource: TaskResource, model: ArtifactRef) -> Path:
    return models_folder(resource.home, resource.task.name) / f"{model.digest[:32]}.json"


def models_folder(home: Home, task: str) -> Path:
    """Return the folder of links from models to the MLflow runs of their trainings."""
    return home.dagster / "trainings" / task / "models"
