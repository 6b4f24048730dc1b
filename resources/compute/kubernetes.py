"""Training in a pod of a Kubernetes cluster; Dagster follows its log (`PipesK8sClient`).

The pod has the job in its environment. The secrets of the task hold the credentials of database and
store; the specification of the pod contains no secret. Its home is the volume claim of the task,
which the code server also mounts, or an empty folder that is filled from `KINEMILL_REMOTE`.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_pipes import PipesParams

from kinemill.errors import BadInput, KinemillError, ProcessLost, TrainingFailed
from kinemill.store import Json, read_json
from kinemill.store.home import Home
from kinemill.store.object_store import remote
from kinemill.task.compute import Kubernetes
from kinemill.task.protocols import Tracker
from kinemill_dagster.resources.compute import COMPUTE
from kinemill_dagster.resources.message_reader import RecordHandler
from kinemill_dagster.resources.remote_job import VARIABLE, RemoteJob

_GRACE = 5  # s for the training to end; checkpoints are published by a rename
_GPU = "nvidia.com/gpu"
_HOME = "home"  # name of the volume
_POLL = 2.0  # s
_ANOTHER_MAY_DO = ("unexpectedly killed", "Evicted", "Preempt", "Shutdown")  # not: OOMKilled


@COMPUTE.register("kubernetes")
def run(
    context: dg.AssetExecutionContext, job: Path, settings: Kubernetes, tracker: Tracker
) -> None:
    """Run the training of `job` in a pod, up to its time limit.

    Raises:
        BadInput: The pod can read neither the home nor shared storage.
        ProcessLost: The pod was evicted or killed, or Kubernetes does not respond.
        TrainingFailed: It reached the time limit, or failed.
    """
    from dagster_k8s import PipesK8sClient, PipesK8sPodLogsMessageReader
    from dagster_k8s.client import (
        DagsterK8sAPIRetryLimitExceeded,
        DagsterK8sError,
        DagsterK8sUnrecoverableAPIError,
    )
    from kubernetes.client import ApiException

    class Reader(PipesK8sPodLogsMessageReader):
        """Reader of the pod's log that passes records to the tracker."""

        @contextmanager
        def read_messages(self, handler: dg.PipesMessageHandler) -> Generator[PipesParams]:
            """Pass other messages to Dagster's handler."""
            records: Any = RecordHandler(handler, tracker)
            with super().read_messages(records) as parameters:
                yield parameters

    try:
        PipesK8sClient(poll_interval=_POLL, message_reader=Reader()).run(
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
        raise ProcessLost(
            "Kubernetes", str(error).strip(), fix="check that the cluster responds"
        ) from error
    except DagsterK8sError as error:
        raise _failure(str(error)) from error


def environment(job: Path) -> dict[str, str]:
    """Return the non-secret variables of the pod: the job and the home."""
    remote_job = RemoteJob.of_training(job)
    variables = remote_job.environment(remote_job.home)
    return {name: variables[name] for name in (VARIABLE, "KINEMILL_HOME")}


def pod_spec(home: Home, settings: Kubernetes) -> Json:
    """Return the specification of the pod, except image, command and variables.

    Raises:
        BadInput: The pod can read neither the home nor shared storage.
    """
    if settings.claim is None and remote() is None:
        raise BadInput(
            "compute.claim",
            "is not set, nor is KINEMILL_REMOTE: the pod cannot read the dataset",
            fix="set the volume claim of the home, or use a shared store",
        )
    claim = {"persistentVolumeClaim": {"claimName": settings.claim}}
    resources = {"cpu": f"{settings.cpus:g}", "memory": settings.memory}
    if settings.gpus:
        resources[_GPU] = str(settings.gpus)
    return {
        "restartPolicy": "Never",  # Dagster retries the run, and the training resumes
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
    """Return the error of a failed pod: evicted, killed, or a failed training."""
    passing = any(part in problem for part in _ANOTHER_MAY_DO)
    kind = ProcessLost if passing else TrainingFailed
    last = problem.strip().splitlines()
    text = os.linesep.join(last[-12:])
    return kind("pod of the training", text, fix="a rerun resumes from the last checkpoint")
