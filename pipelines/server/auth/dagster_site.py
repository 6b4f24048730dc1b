"""Served routes of Dagster's server: pages and downloads, GraphQL, and REST."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kinemill_dagster.pipelines.server.auth.calls import Refused
from kinemill_dagster.pipelines.server.auth.operation import Field, parse_operation
from kinemill_dagster.pipelines.server.auth.permissions import (
    NO_TASK,
    Decision,
    Permission,
    Route,
    only,
)
from kinemill_dagster.pipelines.server.auth.request import (
    Request,
    check_texts,
    parse_object,
    write_json,
)
from kinemill_dagster.pipelines.server.auth.rest_routes import PREFIX, rest_route, sets_gate

OPERATING = {  # mutations that start and end runs, or reload task files
    "launchRun",
    "launchPipelineExecution",
    "launchMultipleRuns",
    "launchPartitionBackfill",
    "launchRunReexecution",
    "launchPipelineReexecution",
    "terminateRun",
    "terminateRuns",
    "terminatePipelineExecution",
    "reloadRepositoryLocation",
    "reloadWorkspace",
    "scheduleDryRun",
    "sensorDryRun",
}
_RELOADING = {"reloadRepositoryLocation", "reloadWorkspace"}
_NOTHING = {"__typename"}  # changes nothing
_ASSETS = "__ASSET_JOB"  # Dagster's own job of a selection of assets
_STREAMS = {"out", "err"}  # streams of a step that `/logs` serves
_RUN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KINDS = {"connection_init", "connection_terminate", "start", "stop"}
_LONGEST = 200  # characters of the id of a subscription


@dataclass(frozen=True)
class StoredRun:
    """A run in Dagster's database: its job, the keys of its assets, and its configuration."""

    job: str
    assets: list[list[str]] = field(default_factory=list[list[str]])
    config: Mapping[str, object] = field(default_factory=dict[str, object])


def find_run(instance: Any, run: str) -> StoredRun | None:
    """Return a run of Dagster's instance."""
    record = instance.get_run_by_id(run)
    if record is None:
        return None
    assets = [list(key.path) for key in record.asset_selection or ()]
    return StoredRun(record.job_name, assets, record.run_config)


class DagsterSite:
    """Dagster's webserver.

    Args:
        task_of_job: returns the task that a job belongs to; None for other jobs.
        find_run: returns a run; None for unknown runs.
    """

    def __init__(
        self, task_of_job: Callable[[str], str | None], find_run: Callable[[str], StoredRun | None]
    ) -> None:
        self._task_of_job = task_of_job
        self._find_run = find_run

    def route(self, request: Request) -> Route:
        """Return the route of a request.

        Raises:
            Refused: It is not served.
        """
        if request.segments[: len(PREFIX)] == PREFIX:
            return rest_route(request, self._of_run)
        if request.segments == ("graphql",):
            if request.method == "POST":
                return Route(self._decide, "json")
            if request.query:
                raise Refused(405, "GraphQL requests use POST, not GET")
        if not request.is_safe:
            raise Refused(403 if request.method == "POST" else 405, "this part is closed")
        self._check_page(request.segments)
        return only(Permission.LOOK)

    def message(self, text: str | bytes) -> bytes:
        """Return the canonical form of a message of a websocket.

        Raises:
            Refused: It is not part of Dagster's protocol, or contains a mutation.
        """
        message = parse_object(text)
        kind = message.get("type")
        name = message.get("id")
        if kind not in _KINDS:
            raise Refused(400, "this message is not part of the protocol graphql-ws")
        if not (name is None or (isinstance(name, str | int) and len(str(name)) <= _LONGEST)):
            raise Refused(400, "the id of a subscription must be a short text")
        sent: dict[str, Any] = {"type": kind}
        if name is not None:
            sent["id"] = name
        if kind == "start":
            payload = message.get("payload")
            operation = parse_operation(payload if isinstance(payload, dict) else {})
            if operation.is_mutation:
                raise Refused(403, "mutations are not allowed on a websocket")
            sent["payload"] = operation.body
        return write_json(sent)

    def _check_page(self, segments: tuple[str, ...]) -> None:
        """Check the path of a page: Dagster fails on some paths."""
        match segments:
            case ("notebook", *_) | ("dagit", "notebook", *_):
                raise Refused(403, "notebooks are not served")
            case ("logs", *_, last) if len(segments) < 3 or last not in _STREAMS:
                raise Refused(404, "no such logs")
            case ("logs",):
                raise Refused(404, "no such logs")
            case ("download_debug", run):
                if not _RUN.fullmatch(run) or self._find_run(run) is None:
                    raise Refused(404, "no such run")
            case _:
                return

    def _decide(self, request: Request, _: str) -> Decision:
        operation = parse_operation(request.body or {})
        if not operation.is_mutation:
            return Decision(Permission.LOOK, body=operation.body)
        for mutation in operation.fields:
            check_texts(mutation.arguments, but={"runConfigData"})
        names = {mutation.name for mutation in operation.fields}
        changes = ", ".join(sorted(names))
        if not names <= OPERATING | _NOTHING:
            return Decision(Permission.ADMINISTER, None, operation.body, changes)
        changes_gate = any(map(_names_gate, self._run_configs(operation.fields)))
        permission = Permission.PROMOTE if changes_gate else Permission.OPERATE
        return Decision(permission, self._tasks(operation.fields), operation.body, changes)

    def _run_configs(self, fields: Iterable[Field]) -> Iterator[object]:
        """Yield the configurations of all runs that mutations launch.

        Those of parents are included: a repeated run has the configuration of its parent, and a
        partly repeated one its results.
        """
        for mutation in fields:
            yield from (params.get("runConfigData") for params in _launches(mutation))
            parents = map(self._find_run, _parents(mutation))
            yield from (run.config for run in parents if run is not None)

    def _tasks(self, fields: Iterable[Field]) -> frozenset[str] | None:
        """Return the tasks that mutations change; None if one cannot be attributed."""
        tasks = NO_TASK
        for mutation in fields:
            changed = self._of_mutation(mutation)
            if changed is None:
                return None
            tasks |= changed
        return tasks

    def _of_mutation(self, mutation: Field) -> frozenset[str] | None:
        if mutation.name in _RELOADING | _NOTHING:
            return NO_TASK
        runs = [mutation.arguments.get("runId"), *_listed(mutation.arguments.get("runIds"))]
        if mutation.name == "launchPartitionBackfill":
            return self._of_backfill(mutation.arguments.get("backfillParams"))
        tasks = [
            *(self._of_run(run) for run in (*runs, *_parents(mutation)) if run is not None),
            *(self._of_launch(params) for params in _launches(mutation)),
        ]
        if not tasks or None in tasks:
            return None
        return frozenset(name for name in tasks if name is not None)

    def _of_backfill(self, params: object) -> frozenset[str] | None:
        """Return the task of the assets of a backfill; None if it names a job or other runs."""
        if not isinstance(params, Mapping) or params.get("selector"):
            return None
        assets = _mappings(params.get("assetSelection"))
        partitions = _mappings(params.get("partitionsByAssets"))
        assets += _mappings([partition.get("assetKey") for partition in partitions])
        task = self._of_job(_ASSETS, [_listed(asset.get("path")) for asset in assets])
        return None if task is None else frozenset({task})

    def _of_run(self, run: object) -> str | None:
        stored = self._find_run(run) if isinstance(run, str) else None
        return None if stored is None else self._of_job(stored.job, stored.assets)

    def _of_launch(self, params: Mapping[str, Any]) -> str | None:
        selector = params.get("selector")
        if not isinstance(selector, Mapping):
            return None
        names = {selector[key] for key in ("jobName", "pipelineName") if selector.get(key)}
        if len(names) != 1:
            return None
        job = names.pop()
        assets = _mappings(selector.get("assetSelection"))
        checks = _mappings(selector.get("assetCheckSelection"))
        assets += _mappings([check.get("assetKey") for check in checks])
        return self._of_job(job, [_listed(asset.get("path")) for asset in assets])

    def _of_job(self, job: object, keys: list[list[str]]) -> str | None:
        """Return the task of a job, or the common task of a selection of assets."""
        if not isinstance(job, str):
            return None
        if job != _ASSETS:
            return self._task_of_job(job)
        tasks = {key[0] for key in keys if key}
        return tasks.pop() if len(tasks) == 1 else None


def _launches(mutation: Field) -> list[Mapping[str, object]]:
    """Return the parameters of the launches of a mutation."""
    names = ("executionParams", "executionParamsList", "backfillParams")
    return [params for name in names for params in _mappings(mutation.arguments.get(name))]


def _parents(mutation: Field) -> list[str]:
    """Return the ids of the runs that a mutation repeats, wholly or in part."""
    named = _mappings(mutation.arguments.get("reexecutionParams"))
    named += _mappings([params.get("executionMetadata") for params in _launches(mutation)])
    return [str(each["parentRunId"]) for each in named if each.get("parentRunId")]


def _config(config: object) -> Mapping[str, Any] | None:
    """Parse a run configuration as Dagster does; None if it is invalid."""
    from dagster_shared.yaml_utils import load_run_config_yaml

    parsed: Any = config
    if isinstance(config, str):
        try:
            parsed = load_run_config_yaml(config)
        except Exception:  # noqa: BLE001  # PyYAML raises its own, ValueError, RecursionError, more
            return None
    if parsed is None:
        return {}
    return parsed if isinstance(parsed, Mapping) else None


def _names_gate(run_config: object) -> bool:
    """Return whether a run configuration changes settings of the gate, or is unreadable."""
    config = _config(run_config)
    if config is None:
        return True
    resources = _mappings(_values(config.get("resources")))
    parts = [*resources, *_mappings([resource.get("config") for resource in resources])]
    return any(map(sets_gate, parts))


def _values(section: object) -> list[Any]:
    return list(section.values()) if isinstance(section, Mapping) else []


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else ([] if value is None else [value])


def _mappings(values: object) -> list[Mapping[str, Any]]:
    return [value for value in _listed(values) if isinstance(value, Mapping)]
