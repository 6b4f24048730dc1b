"""Trainings as pods, against a stand-in for the Kubernetes API: there is no cluster here."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from kinemill.errors import BadInput, ProcessLost
from kinemill.store import publish_json
from kinemill.store.home import Home
from kinemill.task.compute import Kubernetes
from kinemill_dagster.resources.compute import kubernetes as target
from tests.conftest import ROOT
from tests.pipelines.conftest import TASK

SETTINGS = {"image": "mill:1", "namespace": "robots", "cpus": 2, "gpus": 1, "memory": "8Gi"}


@pytest.fixture
def job(home):
    path = home.dagster / "trainings" / "arm" / "0123" / "job.json"
    publish_json(path, {"home": str(home.root), "task": {"task": "arm"}, "start": None})
    return path


def test_the_pod_is_what_the_task_asks_for_and_nothing_else(home):
    choice = {"claim": "mill", "secrets": ["store"], "service_account": "trainer"}
    settings = Kubernetes(**SETTINGS, **choice, node_selector={"gpu": "a100"}, max_runtime=600)
    amounts = {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"}
    assert target.pod_spec(home, settings) == {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 600,
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": False,
        "securityContext": {"fsGroup": 1000},
        "nodeSelector": {"gpu": "a100"},
        "serviceAccountName": "trainer",
        "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "mill"}}],
        "containers": [
            {
                "name": "training",
                "resources": {"requests": amounts, "limits": amounts},
                "envFrom": [{"secretRef": {"name": "store"}}],
                "volumeMounts": [{"name": "home", "mountPath": str(home.root)}],
            }
        ],
    }


def test_a_pod_without_claim_and_store_is_refused(home, monkeypatch):
    settings = Kubernetes(**SETTINGS)
    with pytest.raises(BadInput, match=r"compute.claim: is not set, nor is KINEMILL_REMOTE"):
        target.pod_spec(home, settings)
    monkeypatch.setenv("KINEMILL_REMOTE", f"file://{home.root}-shared")
    spec = target.pod_spec(home, settings)
    assert spec["volumes"] == [{"name": "home", "emptyDir": {}}]
    assert spec["containers"][0]["envFrom"] == []


def test_no_secret_is_written_into_the_pod(job, monkeypatch):
    monkeypatch.setenv("KINEMILL_DATABASE", "postgresql://mill:h1dden@db/mill")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "h1dden")
    result = target.environment(job)
    assert set(result) == {"KINEMILL_ERRAND", "KINEMILL_HOME"}
    assert "h1dden" not in json.dumps(result)
    remote = json.loads(result["KINEMILL_ERRAND"])
    assert remote["module"] == "kinemill_dagster.resources.training_process"
    assert remote["arguments"] == ["{home}/dagster/trainings/arm/0123/job.json", "{parent}"]
    assert list(remote["files"]) == ["dagster/trainings/arm/0123/job.json"]


def test_the_errand_says_of_the_home_there_what_it_said_of_the_home_here(job, home, tmp_path):
    from kinemill_dagster.resources.remote_job import RemoteJob

    remote = RemoteJob.of(
        "kinemill_dagster.resources.training_process", ("{home}/x", "{parent}"), home, [job]
    )
    there = Home(tmp_path / "node" / "mill")
    assert remote.arrive(there) == [f"{there.root}/x", str(os.getppid())]
    arrived = there.root / job.relative_to(home.root)
    assert json.loads(arrived.read_text())["home"] == str(there.root)


class Cluster:
    """A stand-in for the API: a pod is a process here, its log what that writes."""

    def __init__(self, fails=None):
        self.pods, self.deleted, self.fails = {}, [], fails
        self.core_api = self

    def create_namespaced_pod(self, namespace, body):
        self.pods[body.metadata.name] = (namespace, body)

    def wait_for_pod(self, name, namespace, wait_for_state, **_):
        if self.fails and wait_for_state.value == "TERMINATED":
            raise self.fails

    def read_namespaced_pod_log(self, name, namespace, **_):
        container = self.pods[name][1].spec.containers[0]
        assert container.command == ["python", "-m", "kinemill_dagster.resources.remote_job"]
        ran = subprocess.run(
            [sys.executable, *container.command[1:]],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **{item.name: item.value for item in container.env}},
            capture_output=True,
            check=False,
        )
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        return iter(f"{stamp} {line}\n".encode() for line in ran.stderr.decode().splitlines())

    def delete_namespaced_pod(self, name, namespace):
        self.deleted.append((name, namespace))


@pytest.fixture
def cluster(monkeypatch):
    pipes = pytest.importorskip("dagster_k8s.pipes", reason="dagster-k8s is not installed")
    made = Cluster()
    stand_in = SimpleNamespace(production_client=lambda: made)
    monkeypatch.setattr(pipes, "DagsterKubernetesClient", stand_in)
    monkeypatch.setattr(pipes.PipesK8sClient, "_load_k8s_config", lambda _self: None)
    return made


OVERRIDES = {
    "compute.type": "kubernetes",
    "compute.image": "mill:1",
    "compute.namespace": "robots",
    "compute.claim": "mill",
    "learn.compile": "off",
}


@pytest.mark.slow
def test_the_chain_trains_in_a_pod(cluster, workspace, logs):
    from kinemill_dagster.pipelines.run import run_chain

    shutil.copytree(logs, workspace.home.logs(TASK))
    assert run_chain(TASK, OVERRIDES).status == "done"
    ((name, (namespace, body)),) = cluster.pods.items()
    assert (namespace, body.spec.containers[0].image) == ("robots", "mill:1")
    assert body.metadata.labels["app.kubernetes.io/name"] == "dagster"
    assert cluster.deleted == [(name, "robots")]


@pytest.mark.slow
def test_an_evicted_pod_is_lost_and_not_a_failed_training(cluster, workspace, logs):
    from dagster_k8s.client import DagsterK8sError

    from kinemill_dagster.pipelines.run import run_chain

    cluster.fails = DagsterK8sError('Pod "training" was unexpectedly killed')
    shutil.copytree(logs, workspace.home.logs(TASK))
    with pytest.raises(ProcessLost, match="unexpectedly killed"):
        run_chain(TASK, OVERRIDES)
