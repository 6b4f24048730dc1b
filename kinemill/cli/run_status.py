"""Status of runs on a Dagster server, as the document of `kinemill runs show`."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from kinemill.cli.dagster_client import Server
from kinemill.cli.metrics import Numbers
from kinemill.errors import BadInput
from kinemill.store import Json

OWNER, TASK, RESUME = "kinemill/owner", "kinemill/task", "kinemill/resume"
PRIORITY, RETRY = "dagster/priority", "dagster/auto_retry_run_id"
LATEST = 10  # runs listed
_PAGE = 500  # runs per query when an id is completed
_LENGTH = 36  # characters of an id
_EVENTS = 1000  # events of a failed run per query
_STATUS = {
    "QUEUED": "queued",
    "NOT_STARTED": "queued",
    "STARTING": "starting",
    "MANAGED": "running",
    "STARTED": "running",
    "CANCELING": "canceling",
    "SUCCESS": "completed",
    "FAILURE": "failed",
    "CANCELED": "canceled",
}
ENDED = {"completed", "failed", "canceled"}

_FACTS = """
fragment Facts on Run {
  runId jobName status creationTime endTime runConfig tags { key value }
  assetSelection(limit: 1) { path }
  assetMaterializations { assetKey { path } metadataEntries {
    label ... on IntMetadataEntry { intValue } } }
}
"""
_ONE = f"""{_FACTS}
query($id: ID!) {{ runOrError(runId: $id) {{
  __typename ... on Run {{ ...Facts }} ... on PythonError {{ message }} }} }}
"""
_RUNS = f"""{_FACTS}
query($limit: Int!) {{ runsOrError(limit: $limit) {{
  __typename ... on Runs {{ results {{ ...Facts }} }} ... on PythonError {{ message }} }} }}
"""
_IDS = """
query($cursor: String, $limit: Int!) { runIdsOrError(cursor: $cursor, limit: $limit) {
  __typename ... on RunIds { results } ... on PythonError { message } } }
"""
_SAID = """
query($id: ID!, $after: String, $limit: Int!) { logsForRun(
  runId: $id, afterCursor: $after, limit: $limit) { __typename ... on EventConnection {
    cursor hasMore events { __typename
      ... on RunFailureEvent { message error { ...Told } }
      ... on ExecutionStepFailureEvent { error { ...Told } } } } } }
fragment Told on PythonError { message className errorChain { error { message className } } }
"""


def latest(server: Server, count: int = LATEST) -> list[Json]:
    """Return the status of the latest runs, newest first."""
    response = _right(server, server.ask(_RUNS, limit=count)["runsOrError"], "Runs")
    return [document_of(server, run) for run in response["results"]]


def one(server: Server, run: str) -> Json:
    """Return the status of a run.

    Args:
        server: the Dagster server.
        run: its id, or the beginning of it.

    Raises:
        BadInput: there is no such run, or several.
    """
    return document_of(server, look_up(server, run))


def look_up(server: Server, run: str) -> Json:
    """Return the run with this id, or this beginning of an id."""
    whole = run if len(run) == _LENGTH else _complete_id(server, run)
    response = server.ask(_ONE, id=whole)["runOrError"]
    if response["__typename"] == "RunNotFoundError":
        raise _unknown(server, run)
    return _right(server, response, "Run")


def status_of(run: Json) -> str:
    """Return queued, starting, running, canceling, completed, failed or canceled."""
    return _STATUS[run["status"]]


def task_of(run: Json) -> str:
    """Return the task of a run, also of one that materializes only some assets."""
    assets = run.get("assetSelection") or []
    named = assets[0]["path"][0] if assets else run["jobName"]
    return _tags(run).get(TASK) or named


def retry_of(run: Json) -> str | None:
    """Return the run that resumes a failed one, or None."""
    return _tags(run).get(RETRY)


def document_of(server: Server, run: Json) -> Json:
    """Return the document of `kinemill runs show`."""
    task, status = task_of(run), status_of(run)
    numbers = Numbers.of(run["runId"], task)
    return {
        "id": run["runId"],
        "task": task,
        "status": status,
        "step": numbers.step,
        "total_steps": numbers.total,
        "loss": numbers.loss,
        "parameters": _parameters(run, task),
        "error": _error(server, run["runId"]) if status == "failed" else None,
        "model": _model(run, task),
        "owner": _tags(run).get(OWNER),
        "created_at": _time(run["creationTime"]),
        "completed_at": _time(run["endTime"]) if status in ENDED else None,
    }


def _complete_id(server: Server, start: str) -> str:
    """Return the only id with this beginning, among all runs."""
    matches = [run for run in _ids(server) if start and run.startswith(start)]
    if len(matches) > 1:
        examples = ", ".join(run[: len(start) + 4] for run in matches[:3])
        raise BadInput(f"run {start}", f"is the beginning of {examples}", fix="give more of it")
    if not matches:
        raise _unknown(server, start)
    return matches[0]


def _ids(server: Server) -> Iterator[str]:
    cursor: str | None = None
    while True:
        reply = server.ask(_IDS, cursor=cursor, limit=_PAGE)["runIdsOrError"]
        ids: list[str] = _right(server, reply, "RunIds")["results"]
        yield from ids
        if len(ids) < _PAGE:
            return
        cursor = ids[-1]


def _unknown(server: Server, run: str) -> BadInput:
    listing = ", ".join(
        f"{line['id'][:8]} ({line['task']}, {line['status']})" for line in latest(server, 5)
    )
    return BadInput(f"run {run}", "unknown", fix=f"the latest: {listing or 'there is none yet'}")


def _right(server: Server, reply: Json, typename: str) -> Json:
    if reply["__typename"] != typename:
        raise server.failure(reply.get("message") or reply["__typename"])
    return reply


def _tags(run: Json) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def _parameters(run: Json, task: str) -> Json:
    """Return the overrides that the run was started with, dotted key to value."""
    config = run["runConfig"] or {}
    return _flat(config.get("resources", {}).get(task, {}).get("config", {}))


def _flat(config: Mapping[str, object], prefix: str = "") -> Json:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        inner = _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {}
        flat |= inner or {f"{prefix}{key}": value}
    return flat


def _model(run: Json, task: str) -> str | None:
    """Return the address of the version that the run registered or found cached."""
    for made in run["assetMaterializations"]:
        if made["assetKey"]["path"][-1] == "registered_model":
            for entry in made["metadataEntries"]:
                if entry["label"] == "version":
                    return f"models:/{task}/{entry['intValue']}"
    return None


def _error(server: Server, run: str) -> str | None:
    """Return the error of a failed run: that of its failed step, else that of the run."""
    message, after = None, None
    while True:
        response = server.ask(_SAID, id=run, after=after, limit=_EVENTS)["logsForRun"]
        for event in _right(server, response, "EventConnection")["events"]:
            if event.get("error") and event["__typename"] == "ExecutionStepFailureEvent":
                return _reason(event["error"])
            if event["__typename"] == "RunFailureEvent":
                message = _reason(event["error"]) if event["error"] else event["message"]
        if not response["hasMore"]:
            return message
        after = response["cursor"]


def _reason(error: Json) -> str:
    """Return the innermost message of an error, without those that wrap it."""
    chain = [error, *(link["error"] for link in error["errorChain"])]
    ours = [one for one in chain if one["message"].startswith("kinemill.")]
    said = (ours or chain)[0 if ours else -1]
    kind, _, message = said["message"].strip().partition(": ")
    return message if message and kind.endswith(str(said["className"])) else said["message"].strip()


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
