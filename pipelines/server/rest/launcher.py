"""Start and cancel runs with Dagster's GraphQL, inside the webserver's process."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
from starlette.requests import Request

from kinemill.errors import BadInput, KinemillError
from kinemill.store import Json
from kinemill_dagster.resources.dagster_api import LOCATION, REPOSITORY, GraphqlFailed

Query = Callable[[Request, str, Mapping[str, object]], Mapping[str, Any]]

_ASSETS = """
query($group: AssetGroupSelector!) { assetNodes(group: $group) {
  assetKey { path } isMaterializable } }
"""
_RELOAD = """
mutation($location: String!) { reloadRepositoryLocation(repositoryLocationName: $location) {
  __typename } }
"""
_LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on Error { message } } }
"""
_TERMINATE = """
mutation($id: String!, $policy: TerminateRunPolicy) {
  terminateRun(runId: $id, terminatePolicy: $policy) { __typename
  ... on TerminateRunFailure { message } ... on Error { message } } }
"""
_WHERE = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY}
_ASSET_JOB = "__ASSET_JOB"  # Dagster's own job of all assets, of which a run selects some
_SAFE = "SAFE_TERMINATE"
_FORCED = "MARK_AS_CANCELED_IMMEDIATELY"
_TRIES = 10  # attempts to cancel a run
_PAUSE = 0.3  # s between two of them


class Launcher:
    """Starts and cancels runs.

    Args:
        query: runs a GraphQL operation as part of a web request; see `WebApp`.
        instance: Dagster's instance.
    """

    def __init__(self, query: Query, instance: dg.DagsterInstance) -> None:
        self._query = query
        self._instance = instance

    def start(
        self, request: Request, task: str, config: Mapping[str, object], tags: Mapping[str, str]
    ) -> str:
        """Launch a run of all assets of a task; return its id.

        The headers of `request` name the user, who becomes the owner of the run.

        Raises:
            BadInput: The server has not loaded the task, or Dagster refuses the configuration.
        """
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        assets = self.load(request, task)
        params = {
            "selector": {**_WHERE, "jobName": _ASSET_JOB, "assetSelection": assets},
            "runConfigData": config,
            "executionMetadata": {"tags": listed},
        }
        response = self._ask(request, _LAUNCH, params=params)["launchRun"]
        if response["__typename"] == "LaunchRunSuccess":
            return response["run"]["runId"]
        errors = [line["message"] for line in response.get("errors", [])]
        errors = errors or [str(response.get("message") or response["__typename"])]
        text = "; ".join(error.partition("\n\nStack Trace")[0] for error in errors)
        raise BadInput(f"task {task}", f"cannot be started: {text}")

    def cancel(self, request: Request, run: str) -> None:
        """Cancel a run; mark one that is starting, which has no process yet, as canceled.

        Raises:
            BadInput: It has ended.
            KinemillError: Dagster refuses.
        """
        message = ""
        for attempt in range(_TRIES):  # the status may change between query and cancellation
            record = self._instance.get_run_by_id(run)
            if record is None or record.is_finished:
                if attempt:
                    return
                status = "unknown" if record is None else record.status.value.lower()
                raise BadInput(f"run {run[:8]}", f"is {status}; there is nothing to cancel")
            has_process = record.status is not dg.DagsterRunStatus.STARTING
            policy = _SAFE if has_process else _FORCED
            reply = self._ask(request, _TERMINATE, id=run, policy=policy)["terminateRun"]
            if reply["__typename"] == "TerminateRunSuccess":
                return
            message = reply.get("message") or reply["__typename"]
            time.sleep(_PAUSE)
        raise KinemillError(f"run {run[:8]}", f"cannot be canceled: {message}")

    def load(self, request: Request, task: str) -> list[Json]:
        """Return the keys of a task's assets; reload the definitions if its file is newer.

        Raises:
            BadInput: Dagster does not load it.
            KinemillError: Dagster does not respond.
        """
        assets = self._list_assets(request, task)
        if not assets:
            self._ask(request, _RELOAD, location=LOCATION)
            assets = self._list_assets(request, task)
        if not assets:
            raise BadInput(f"task {task}", "is not loaded by Dagster", fix="its page shows why")
        return assets

    def _list_assets(self, request: Request, task: str) -> list[Json]:
        """Return the keys of a task's assets that a run can make: they are a group of its name."""
        nodes = self._ask(request, _ASSETS, group={"groupName": task, **_WHERE})["assetNodes"]
        return [node["assetKey"] for node in nodes if node["isMaterializable"]]

    def _ask(self, request: Request, query: str, **variables: object) -> Mapping[str, Any]:
        try:
            return self._query(request, query, variables)
        except GraphqlFailed as error:
            raise KinemillError("Dagster", str(error)) from error
