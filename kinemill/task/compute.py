"""Where a training runs: the settings of each target, which `resources/compute/` starts.

A target is chosen by `type`, and says how much of a machine, or of several, the training gets. None
of it changes what is learned from what, so it is no part of any key. Third parties add settings
through entry points of the group `kinemill.task.compute`, beside the target itself.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from kinemill.registry import Registry
from kinemill.task.plugins import Plugin
from kinemill.task.web_overrides import LOCAL

TARGETS: "Registry[type[Compute]]" = Registry("kinemill.task.compute", "compute target", "local")


class Compute(Plugin):
    """What every target shares."""

    max_runtime: PositiveFloat = Field(
        default=3600.0, description="s, then the training is stopped; a rerun goes on from there"
    )
    run_timeout: PositiveFloat = Field(
        default=86400.0, description="s from the start of a whole run, all stages, to its end"
    )


@TARGETS.register("local")
class Local(Compute):
    """One process on this machine."""

    type: Literal["local"] = "local"


@TARGETS.register("torchrun")
class Torchrun(Compute):
    """Several processes on this machine that share each batch."""

    type: Literal["torchrun"] = "torchrun"
    processes: PositiveInt = Field(
        default=2,
        description="that share each batch; with 1 it is plain python: torchrun costs 4 s",
    )


@TARGETS.register("ray")
class Ray(Compute):
    """Workers on the nodes of a Ray cluster."""

    type: Literal["ray"] = "ray"
    address: Annotated[str | None, LOCAL] = Field(
        default=None,
        description="of the cluster, `host:6379`; default: RAY_ADDRESS, else the one on this "
        "machine",
    )
    workers: PositiveInt = Field(default=1, description="processes that share each batch")
    cpus: PositiveFloat = Field(default=1.0, description="of each worker")
    gpus: NonNegativeFloat = Field(default=0.0, description="of each worker")
    retries: NonNegativeInt = Field(
        default=1,
        description="how often workers whose node died are started again, from the last checkpoint",
    )
    ingest_from: PositiveInt = Field(
        default=200,
        description="new logs from which the workers read them; they see the folder of logs, and "
        "the home or the remote store",
    )


@TARGETS.register("kubernetes")
class Kubernetes(Compute):
    """A job on a Kubernetes cluster."""

    type: Literal["kubernetes"] = "kubernetes"
    image: Annotated[str, LOCAL] = Field(
        description="that holds kinemill and the project, see deploy/Dockerfile"
    )
    namespace: Annotated[str, LOCAL] = "default"
    cpus: PositiveFloat = 1.0
    gpus: NonNegativeInt = Field(default=0, description="`nvidia.com/gpu` of the pod")
    memory: str = Field(
        default="4Gi", pattern=r"^[1-9]\d*[KMGT]i$", description="that the pod may use"
    )
    claim: Annotated[str | None, LOCAL] = Field(
        default=None,
        description="persistent volume claim that holds the home, where it is not in the remote "
        "store",
    )
    secrets: Annotated[list[str], LOCAL] = Field(
        default=[], description="whose entries are environment: passwords of store and database"
    )
    service_account: Annotated[str | None, LOCAL] = None
    node_selector: Annotated[dict[str, str], LOCAL] = Field(
        default={}, description="labels of the nodes wanted"
    )
