"""Training as a job of its own: known keys start nothing, others run where `compute.type` says."""

import os
import threading
from pathlib import Path

import dagster as dg

from kinemill.errors import TrainingFailed
from kinemill.export import prepare
from kinemill.store import Artifact, ArtifactRef, publish_json, read_json, summary_of
from kinemill.store.home import Home
from kinemill.task.protocols import WarmStart
from resources.compute import COMPUTE
from resources.tags import RESUME
from resources.task_resource import TaskResource

_JOB = "job.json"


def train_elsewhere(
    context: dg.AssetExecutionContext,
    mill: TaskResource,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
) -> Artifact:
    """Return the model for this task and data, trained in a process of its own unless known.

    Raises:
        TrainingFailed: the training ended without a model; its MLflow run says so too.
        ProcessLost: it was ended from outside.
        BadInput: the run is to go on with a training that had other settings or data.
    """
    from kinemill.tracking import lock
    from kinemill.train import find_model, refuse_other

    start = start_of(mill)
    data = (dataset, training_set, start)
    if RESUME in context.run.tags:
        refuse_other(mill.task, mill.home, (dataset, training_set), start, _begun(mill))
    if known := find_model(mill.task, mill.home, *data):
        return _noted(context, mill, known, *data)
    name = f"train/{mill.task.name}/{_folder(mill, *data).name}"
    # Two processes would write the same checkpoints: the second waits, and finds the model made.
    with lock(mill.home, name, context.log.info):
        if known := find_model(mill.task, mill.home, *data):
            return _noted(context, mill, known, *data)
        job = write_job(mill, *data, dagster_run=context.run.run_id)
        _note(context, mill, read_json(job)["tracked"]["run_id"], *data)
        _train(context, mill, job)
        trained = find_model(mill.task, mill.home, *data)
    if trained is None:
        raise TrainingFailed(job, "the training process ended well but published no model")
    if not _run_file(mill, trained.ref).is_file():  # it was noted on another machine
        publish_json(_run_file(mill, trained.ref), read_json(job)["tracked"])
    return Artifact(trained.ref, trained.summary, known=False)


def _begun(mill: TaskResource) -> list[str]:
    """Return the names of the trainings of the task that runs began; those of searches are none."""
    begun = mill.home.dagster / "trainings" / mill.task.name
    return [job.parent.name for job in begun.glob(f"*/{_JOB}")]


def _noted(
    context: dg.AssetExecutionContext,
    mill: TaskResource,
    known: Artifact,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    start: WarmStart | None,
) -> Artifact:
    """Return a known model, having noted which training made it: its curve is this run's, too."""
    _note(context, mill, tracked_run(mill, known.ref), dataset, training_set, start)
    return known


def _note(
    context: dg.AssetExecutionContext,
    mill: TaskResource,
    mlflow_run: str | None,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    start: WarmStart | None,
) -> None:
    """Write down where the numbers of this run's training are."""
    from kinemill.tracking.run_links import Noted, note_training
    from kinemill.train import job_folder

    folder = job_folder(mill.task, mill.home, dataset, training_set, start)
    where = folder.relative_to(mill.home.root).as_posix()
    note_training(mill.home, context.run.run_id, Noted(where, mill.task.learn.steps, mlflow_run))


def _train(context: dg.AssetExecutionContext, mill: TaskResource, job: Path) -> None:
    compute = mill.task.compute
    beside = threading.Thread(target=prepare)  # while this process waits for another one
    beside.start()
    try:
        COMPUTE[compute.type](context, job, compute)
        beside.join()
    except BaseException:
        _end_run(mill, read_json(job)["tracked"]["run_id"])
        raise


def start_of(mill: TaskResource) -> WarmStart | None:
    """Return the model that the training starts from, if the task names one."""
    if mill.task.learn.start_from is None:
        return None  # without asking the registry, which takes a second to import
    from kinemill import register

    return register.start_of(mill.task, mill.home)


def write_job(
    mill: TaskResource,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    start: WarmStart | None = None,
    *,
    dagster_run: str,
) -> Path:
    """Start the MLflow run and write the file that tells the training process all; return it."""
    from kinemill.tracking import end_orphans, log_dataset, open_tracking, start_run
    from kinemill.tracking.run_links import DAGSTER_RUN

    end_orphans(mill.home)  # of trainings whose every process was killed: nobody else ended them
    folder = _folder(mill, dataset, training_set, start)
    settings = {"task": mill.task.name, "dt": mill.task.dt}
    tags = {DAGSTER_RUN: dagster_run}
    if pages := os.environ.get("KINEMILL_DAGSTER_URL"):  # that `kinemill up` serves
        history = f"[versions of {mill.task.name}]({pages}/kinemill/tasks/{mill.task.name})"
        tags["mlflow.note.content"] = f"[Run in Dagster]({pages}/runs/{dagster_run}), {history}"
    key, learn = folder.name, mill.task.learn
    kind = getattr(learn, "model", learn).type
    name = f"{mill.task.name} {kind}, seed {learn.seed}, data {dataset.digest[:8]}"
    run = start_run(mill.home, mill.task.name, key, params=settings, tags=tags, name=name)
    summary = summary_of(mill.home, dataset)
    client = open_tracking(mill.home).client
    log_dataset(client, run, mill.task.name, dataset.digest, summary)
    job = {
        "task": mill.task.model_dump(mode="json", by_alias=True),
        "home": str(mill.home.root),
        "dataset": dataset.to_json(),
        "training_set": training_set.to_json(),
        "start": start.to_json() if start else None,
        "tracked": {"run_id": run, "experiment": _experiment(mill)},
        "tracked_models": str(_tracked_models(mill)),
    }
    publish_json(folder / _JOB, job)
    return folder / _JOB


def tracked_run(mill: TaskResource, model: ArtifactRef) -> str | None:
    """Return the MLflow run that trained a model, or None."""
    file = _run_file(mill, model)
    return read_json(file)["run_id"] if file.is_file() else None


def run_page(mill: TaskResource, model: ArtifactRef) -> dg.UrlMetadataValue | None:
    """Return the address of that run in the MLflow pages that `kinemill up` serves, or None."""
    file = _run_file(mill, model)
    if not file.is_file():
        return None
    known = read_json(file)
    return _mlflow_page(f"experiments/{known['experiment']}/runs/{known['run_id']}")


def files_page(mill: TaskResource, model: ArtifactRef, logged: str) -> dg.UrlMetadataValue | None:
    """Return the address of a registered version's files, the report among them, or None."""
    file = _run_file(mill, model)
    if not file.is_file():
        return None
    experiment = read_json(file)["experiment"]
    return _mlflow_page(f"experiments/{experiment}/models/{logged}/artifacts")


def version_page(task: str, version: int) -> dg.UrlMetadataValue:
    """Return the address of a registered version in the same pages."""
    return _mlflow_page(f"models/{task}/versions/{version}")


def _mlflow_page(path: str) -> dg.UrlMetadataValue:
    pages = os.environ.get("KINEMILL_MLFLOW_URL", "http://127.0.0.1:5000")
    return dg.MetadataValue.url(f"{pages}/#/{path}")


def _run_file(mill: TaskResource, model: ArtifactRef) -> Path:
    return _tracked_models(mill) / f"{model.digest[:32]}.json"


def _tracked_models(mill: TaskResource) -> Path:
    return models_folder(mill.home, mill.task.name)


def models_folder(home: Home, task: str) -> Path:
    """Return the folder in which it is noted, by model, which MLflow run trained it."""
    return home.dagster / "trainings" / task / "models"


def _folder(
    mill: TaskResource, dataset: ArtifactRef, training_set: ArtifactRef, start: WarmStart | None
) -> Path:
    from kinemill.train import job_folder

    key = job_folder(mill.task, mill.home, dataset, training_set, start).name
    return mill.home.dagster / "trainings" / mill.task.name / key


def _experiment(mill: TaskResource) -> str:
    from kinemill.tracking import open_tracking

    return open_tracking(mill.home).experiment(mill.task.name)


def _end_run(mill: TaskResource, run: str) -> None:
    """Mark the run of a training process that is gone as KILLED, should it still say RUNNING."""
    from kinemill.tracking import end_orphans, open_tracking

    end_orphans(mill.home)
    client = open_tracking(mill.home).client
    if client.get_run(run).info.status == "RUNNING":  # the process died before it took the run over
        client.set_terminated(run, "KILLED")
