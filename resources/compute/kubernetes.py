"""Training in a pod of a Kubernetes cluster, whose log Dagster follows (`PipesK8sClient`).

The pod gets the job in its environment, and from the secrets that the task names what connects
it to database and store; nothing secret is written into the pod itself. Its home is the claim that
the task names, where the code server mounts that too, or an empty folder that `KINEMILL_REMOTE`
fills.
"""

import os
from pathlib import Path

import dagster as dg

from kinemill.errors import BadInput, KinemillError, ProcessLost, TrainingFailed
from kinemill.store import Json, read_json
from kinemill.store.home import Home
from kinemill.store.object_store import remote
from kinemill.task.compute import Kubernetes
from kinemill_dagster.resources.compute import COMPUTE
from kinemill_dagster.resources.remote_job import HOME, PARENT, VARIABLE, RemoteJob

_GRACE = 5  # s that the training has to end; a checkpoint is published by renaming
_GPU = "nvidia.com/gpu"
_HOME = "home"  # name of the volume
_POLL = 2.0  # s
_ANOTHER_MAY_DO = ("unexpectedly killed", "Evicted", "Preempt", "Shutdown")  # not: OOMKilled


@COMPUTE.register("kubernetes")
def run(context: dg.AssetExecutionContext, job: Path, settings: Kubernetes) -> None:
    """Run the training that `job` describes in a pod, until it ends or its time is over.

    Raises:
        BadInput: The pod could read neither the home nor shared storage.
        ProcessLost: the pod was evicted or killed, or Kubernetes does not answer.
        TrainingFailed: it ran out of time, or could not train.
    """
    from dagster_k8s import PipesK8sClient
    from dagster_k8s.client import (
        DagsterK8sAPIRetryLimitExceeded,
        DagsterK8sError,
        DagsterK8sUnrecoverableAPIError,
    )
    from kubernetes.client import ApiException

    try:
        PipesK8sClient(poll_interval=_POLL).run(
            context=context,
            namespace=settings.namespace,
            image=settings.image,
            command=["python", "-m", "kinemill_dagster.resources.remote_job"],
            env=environment(job),
            base_pod_spec=pod_spec(Home(Path(read_json(job)["home"])), settings),
            pod_wait_timeout=settings.max_runtime,
        )
    except (
        ApiException,
        DagsterK8sAPIRetryLimitExceeded,
        DagsterK8sUnrecoverableAPIError,
    ) as error:
        raise ProcessLost("Kubernetes", str(error).strip(), fix="see that it answers") from error
    except DagsterK8sError as error:
        raise _failure(str(error)) from error


def environment(job: Path) -> dict[str, str]:
    """Return the non-secret variables of the pod: the job and the home."""
    home = Home(Path(read_json(job)["home"]))
    where = f"{HOME}/{job.relative_to(home.root).as_posix()}"
    job_ = RemoteJob.of("kinemill_dagster.resources.training_process", (where, PARENT), home, [job])
    every = job_.environment(str(home.root))
    return {name: every[name] for name in (VARIABLE, "KINEMILL_HOME")}


def pod_spec(home: Home, settings: Kubernetes) -> Json:
    """Return the specification of the pod, except image, command and variables.

    Raises:
        BadInput: it could read neither the home nor what machines share.
    """
    if settings.claim is None and remote() is None:
        raise BadInput(
            "compute.claim",
            "is not set, and neither is KINEMILL_REMOTE: the pod could not read the dataset",
            fix="name the volume claim that holds the home, or share a store",
        )
    claim = {"persistentVolumeClaim": {"claimName": settings.claim}}
    resources = {"cpu": f"{settings.cpus:g}", "memory": settings.memory}
    if settings.gpus:
        resources[_GPU] = str(settings.gpus)
    return {
        "restartPolicy": "Never",  # Dagster retries the run, which resumes
        "activeDeadlineSeconds": int(settings.max_runtime),
        "terminationGracePeriodSeconds": _GRACE,
        "automountServiceAccountToken": False,
        "securityContext": {"fsGroup": 1000},  # the user of the image, see deploy/Dockerfile
        "nodeSelector": settings.node_selector,
        **({"serviceAccountName": settings.service_account} if settings.service_account else {}),
        "volumes": [{"name": _HOME, **(claim if settings.claim else {"emptyDir": {}})}],
        "containers": [
            {
                "name": "training",
                "resources": {"requests": resources, "limits": resources},
                "envFrom": [{"secretRef": {"name": name}} for name in settings.secrets],
                "volumeMounts": [{"name": _HOME, "mountPath": str(home.root)}],
            }
        ],
    }


def _failure(problem: str) -> KinemillError:
    """Return the error for a failed pod: evicted or killed, or failed to train."""
    passing = any(part in problem for part in _ANOTHER_MAY_DO)
    kind = ProcessLost if passing else TrainingFailed
    last = problem.strip().splitlines()
    text = os.linesep.join(last[-12:])
    return kind("pod of the training", text, fix="a rerun resumes from the last checkpoint")
