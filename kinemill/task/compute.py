"""Compute targets: where a training runs. `resources/compute/` starts them.

`type` selects a target; its settings limit the resources of the training. They do not affect the
result, so no cache key contains them. Third parties add settings through entry points of the group
`kinemill.task.compute`, next to the target itself.
"""

from typing import Annotated, Literal

from pydantic import Field

from kinemill.registry import Registry
from kinemill.task.bounds import CountOrZero, Processes, Ratio, RatioOrZero, Seconds
from kinemill.task.plugins import Plugin
from kinemill.task.web_overrides import LOCAL

TARGETS: "Registry[type[Compute]]" = Registry("kinemill.task.compute", "compute target", "local")


class Compute(Plugin):
    """Settings common to all targets."""

    max_runtime: Seconds = 86400.0
    """time limit of a training, s; a rerun resumes from its checkpoint"""
    run_timeout: Seconds = 172800.0
    """time limit of a whole run with all stages, s"""


@TARGETS.register("local")
class Local(Compute):
    """One process on this machine."""

    type: Literal["local"] = "local"


@TARGETS.register("torchrun")
class Torchrun(Compute):
    """Several processes on this machine that share each batch."""

    type: Literal["torchrun"] = "torchrun"
    processes: Processes = 2
    """processes that share each batch; 1 starts plain python, which saves the 4 s of torchrun"""


@TARGETS.register("ray")
class Ray(Compute):
    """Workers on the nodes of a Ray cluster."""

    type: Literal["ray"] = "ray"
    address: Annotated[str | None, LOCAL] = None
    """address of the cluster, `host:6379`; default: RAY_ADDRESS, else the cluster on this
    machine"""
    workers: Processes = 1
    """processes that share each batch"""
    cpus: Ratio = 1.0
    """CPUs of each worker"""
    gpus: RatioOrZero = 0.0
    """GPUs of each worker"""
    retries: CountOrZero = 1
    """restarts after the loss of a node; each resumes from the last checkpoint"""


@TARGETS.register("kubernetes")
class Kubernetes(Compute):
    """A job on a Kubernetes cluster."""

    type: Literal["kubernetes"] = "kubernetes"
    image: Annotated[str, LOCAL]
    """container image with kinemill and the project, see deploy/Dockerfile"""
    namespace: Annotated[str, LOCAL] = "default"
    """namespace of the job"""
    cpus: Ratio = 1.0
    """CPUs of the pod"""
    gpus: CountOrZero = 0
    """`nvidia.com/gpu` of the pod"""
    memory: str = Field(default="4Gi", pattern=r"^[1-9]\d*[KMGT]i$")
    """memory limit of the pod"""
    claim: Annotated[str | None, LOCAL] = None
    """persistent volume claim of the home, if no remote store holds it"""
    secrets: Annotated[list[str], LOCAL] = []
    """secrets to expose as environment variables, such as the passwords of store and database"""
    service_account: Annotated[str | None, LOCAL] = None
    """service account of the pod; default: that of the namespace"""
    node_selector: Annotated[dict[str, str], LOCAL] = {}
    """labels that a node must have"""
