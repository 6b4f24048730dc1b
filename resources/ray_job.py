"""Run a job on the nodes of a Ray cluster: `python -m resources.ray_job SETTINGS PARENT_PID`.

This process represents the job on the cluster: it forwards its messages and its output to Dagster,
exits with its exit code, and terminates it when it is terminated. Process handling is therefore
independent of Ray, and Ray's threads and signal handlers stay out of Dagster.

On each node an actor starts the job as its child. With several workers, each receives its rank as
with torchrun. When a node dies, Ray reports its actor as dead: the others are terminated, and all
are restarted on free nodes, up to `retries` times; a training resumes from its last checkpoint.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    DAGSTER_PIPES_MESSAGES_ENV_VAR,
    PIPES_PROTOCOL_VERSION,
    PIPES_PROTOCOL_VERSION_FIELD,
    decode_param,
    encode_param,
)

from kinemill.errors import Unreachable
from kinemill.process import exit_with_parent
from kinemill.store.object_store import remote
from kinemill.store.ray_cluster import VARIABLE, connect_ray
from kinemill.task.compute import Ray
from kinemill_dagster.resources.node_job import Node
from kinemill_dagster.resources.remote_job import RemoteJob, taken_up

LOST = os.EX_TEMPFAIL  # exit code: the node died, or there is no cluster; a retry can succeed
_POLL = 0.3  # s
_TIMEOUT = 60.0  # s without a response after which a node counts as dead
_NOTICED = 5.0  # s after which Ray reports the death of a node to its partners
_START_WITHIN = 300.0  # s to wait for free resources of the cluster


class _Lost(Exception):
    """A node or the cluster was lost."""


def run(remote_job: RemoteJob, settings: Ray) -> int:
    """Run a job on the cluster; return its exit code, or LOST."""
    import ray

    try:
        connect_ray(
            settings.address or os.environ.get(VARIABLE) or "auto",
            namespace="kinemill",  # otherwise Ray copies the working folder of each process
            log_to_driver=False,
            configure_logging=False,
            logging_level="ERROR",
        )
    except Unreachable as error:
        _log(str(error))
        return LOST
    for attempt in range(settings.retries + 1):
        try:
            return _Attempt(ray, remote_job, settings).work()
        except _Lost as error:
            _log(f"attempt {attempt + 1} of {settings.retries + 1}: {error}")
    return LOST


class _Attempt:
    """The workers of one attempt."""

    def __init__(self, ray: ModuleType, remote_job: RemoteJob, settings: Ray) -> None:
        self._ray = ray
        self._remote_job = remote_job
        self._settings = settings
        actor = ray.remote(Node).options(
            num_cpus=settings.cpus,
            num_gpus=settings.gpus,
            scheduling_strategy="SPREAD",
            max_restarts=0,  # its work is lost with its node: restart all workers
        )
        self._nodes = [actor.remote() for _ in range(settings.workers)]

    def work(self) -> int:
        """Start the workers and wait for them; return the first exit code that is not 0, or 0."""
        try:
            self._start()
            while True:
                states = self._all(lambda node: node.look.remote(), _TIMEOUT)
                for line in states[0][0]:
                    _forward_line(line)
                codes = [code for _, code in states]
                if any(codes):
                    return self._failed(codes)
                if all(code == 0 for code in codes):
                    return 0
                time.sleep(_POLL)
        finally:
            self._stop()

    def _start(self) -> None:
        first, *_ = self._all(lambda node: node.address.remote(), _START_WITHIN)
        environment = self._remote_job.environment(None if remote() else self._remote_job.home)
        environment |= _pipes()
        ranks = iter(range(self._settings.workers))
        size, host, port = self._settings.workers, *first

        def start(node: Any) -> Any:
            rank = next(ranks)
            return node.start.remote(environment | _world(rank, size, host, port))

        addresses = self._all(start, _TIMEOUT)
        _log(f"runs on {', '.join(addresses)}")

    def _all(self, ask: Callable[[Any], Any], seconds: float) -> list[Any]:
        """Call every worker and return all results."""
        try:
            return self._ray.get([ask(node) for node in self._nodes], timeout=seconds)
        except self._ray.exceptions.GetTimeoutError as error:
            message = f"no response within {seconds:g} s"
            raise _Lost(message) from error
        except self._ray.exceptions.RayTaskError:
            raise  # ours
        except self._ray.exceptions.RayError as error:
            message = f"a node is lost ({str(error).strip().splitlines()[0]})"
            raise _Lost(message) from error

    def _failed(self, codes: list[int | None]) -> int:
        """Return the exit code of the first failed worker, unless its node was lost."""
        if self._settings.workers > 1:
            time.sleep(_NOTICED)
            self._all(lambda node: node.look.remote(), _TIMEOUT)
        for rank, (node, code) in enumerate(zip(self._nodes, codes, strict=True)):
            if code:
                output = self._ray.get(node.last_output.remote(), timeout=_TIMEOUT)
                _log(f"worker {rank} ended with code {code}; last output: {output}")
        failed = next(code for code in codes if code)
        if failed < 0:
            message = f"a worker was killed by signal {-failed}"
            raise _Lost(message)
        return failed

    def _stop(self) -> None:
        stops = [node.stop.remote() for node in self._nodes]
        self._ray.wait(stops, num_returns=len(stops), timeout=5.0)
        for node in self._nodes:
            self._ray.kill(node)


def _world(rank: int, size: int, host: str, port: int) -> dict[str, str]:
    """Return the environment variables of torchrun for a worker; empty for a single one."""
    if size == 1:
        return {}
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": "0",  # Ray limits the visible GPUs of each worker
        "MASTER_ADDR": host,
        "MASTER_PORT": str(port),
    }


def _pipes() -> dict[str, str]:
    """Return the variables of the Dagster run, without local files."""
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        return {}
    context = decode_param(os.environ[DAGSTER_PIPES_CONTEXT_ENV_VAR])
    data = json.loads(Path(context["path"]).read_text()) if "path" in context else context["data"]
    return {DAGSTER_PIPES_CONTEXT_ENV_VAR: encode_param({"data": data})}


def _forward_line(line: str) -> None:
    """Forward a message of the first worker to Dagster's file."""
    if DAGSTER_PIPES_MESSAGES_ENV_VAR in os.environ:
        where = decode_param(os.environ[DAGSTER_PIPES_MESSAGES_ENV_VAR])
        with Path(where["path"]).open("a") as file:
            file.write(line)


def _log(message: str) -> None:
    """Write a message to Dagster and to the output of this process."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    params = {"message": f"Ray: {message}", "level": "INFO"}
    line = {PIPES_PROTOCOL_VERSION_FIELD: PIPES_PROTOCOL_VERSION, "method": "log", "params": params}
    _forward_line(f"{json.dumps(line)}\n")


def main() -> int:
    """Run the job in the environment with the settings on the command line."""
    exit_with_parent(int(sys.argv[2]))
    return run(taken_up(), Ray.model_validate_json(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
