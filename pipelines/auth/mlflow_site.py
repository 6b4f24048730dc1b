"""Served routes of MLflow: pages, queries, and changes to the user's own records.

kinemill writes runs and versions directly to the database and the artifact store. Over HTTP, all
registered versions and finished runs are therefore read-only.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kinemill_dagster.pipelines.auth.calls import Refused
from kinemill_dagster.pipelines.auth.mlflow_records import MADE_BY, Records, Run
from kinemill_dagster.pipelines.auth.mlflow_view import is_answered
from kinemill_dagster.pipelines.auth.operation import parse_operation
from kinemill_dagster.pipelines.auth.permissions import Decision, Permission, Route, only
from kinemill_dagster.pipelines.auth.request import Request, check_texts
from kinemill_dagster.pipelines.auth.webhook_routes import webhook_route
from kinemill_dagster.resources.alerts import Webhooks

_RESERVED = ("kinemill.", "mlflow.user")  # tags that kinemill and the guard write
_SNAKE = re.compile(r"[a-z][a-z0-9_]*")  # MLflow reads artifactLocation as artifact_location
_NAMES = r"[\w.-]+"
_PAGES = re.compile(
    r"|static-files/.+|health|version|get-artifact|model-versions/get-artifact|graphql"
)
_READ = re.compile(
    r"artifacts/list|experiments/(?:get|get-by-name|search)|runs/get"
    r"|metrics/get-history(?:-bulk|-bulk-interval)?"
    r"|model-versions/(?:get|get-download-uri|search)"
    r"|registered-models/(?:get|search|alias|get-latest-versions)"
    rf"|logged-models/{_NAMES}(?:/artifacts/(?:directories|files))?"
    rf"|traces(?:/(?:get|batchGet|{_NAMES}(?:/info|/assessments/{_NAMES})?))?"
    r"|unified-traces|get-trace-artifact|get-online-trace-details|server-info|ui-telemetry"
    rf"|datasets/(?:search|{_NAMES}(?:/experiment-ids|/records)?)"
)
_QUERIES = re.compile(  # queries that MLflow accepts by POST
    r"(?:experiments|runs|logged-models|traces|datasets|issues)/search"
    r"|experiments/search-datasets|registered-models/get-latest-versions"
    r"|traces/(?:batchGetInfos|calculate-filter-correlation|metrics)"
)
_API = re.compile(r"(?:ajax-)?api/[23]\.0/mlflow/(.+)")
_ARTIFACTS = re.compile(r"(?:ajax-)?api/2\.0/mlflow-artifacts/(artifacts|presigned|mpu)(?:/(.+))?")
_UPLOADING = re.compile(r"(?:create|complete|abort)/(.+)")
_DOCUMENTS = {"model_json", "schema", "profile"}  # of many columns
_PART = re.compile(r"[/.]")
_Body = Mapping[str, Any]


class MlflowSite:
    """MLflow's server.

    Args:
        records: lookups of runs and experiments.
        webhooks: returns the addresses that webhooks may use.
    """

    def __init__(self, records: Records, webhooks: Callable[[], Webhooks] = Webhooks) -> None:
        self._records, self._webhooks = records, webhooks
        self._changes: dict[tuple[str, str], Callable[[_Body, str], Decision]] = {
            ("POST", "experiments/create"): self._create_experiment,
            ("POST", "experiments/set-experiment-tag"): self._tag_experiment,
            ("POST", "experiments/delete-experiment-tag"): self._tag_experiment,
            ("POST", "runs/create"): self._create_run,
            ("POST", "runs/update"): self._update_run,
            ("POST", "runs/set-tag"): self._tag_run,
            ("POST", "runs/delete-tag"): self._tag_run,
            **{
                ("POST", f"runs/{name}"): self._log_to_run
                for name in (
                    "log-batch",
                    "log-inputs",
                    "log-metric",
                    "log-model",
                    "log-parameter",
                    "outputs",
                )
            },
            ("POST", "logged-models"): self._create_model,
            ("POST", "registered-models/create"): self._create_registered,
            ("POST", "model-versions/create"): self._register,
            ("POST", "registered-models/alias"): _promote,
            ("DELETE", "registered-models/alias"): _promote,
            ("POST", "model-versions/transition-stage"): _promote,
            **{
                key: _administer
                for key in (
                    ("POST", "experiments/update"),
                    ("POST", "experiments/delete"),
                    ("POST", "experiments/restore"),
                    ("POST", "runs/delete"),
                    ("POST", "runs/restore"),
                    ("POST", "registered-models/rename"),
                    ("PATCH", "registered-models/update"),
                    ("DELETE", "registered-models/delete"),
                    ("POST", "registered-models/set-tag"),
                    ("DELETE", "registered-models/delete-tag"),
                    ("PATCH", "model-versions/update"),
                    ("DELETE", "model-versions/delete"),
                    ("POST", "model-versions/set-tag"),
                    ("DELETE", "model-versions/delete-tag"),
                )
            },
        }

    def route(self, request: Request) -> Route:
        """Return the route of a request.

        Raises:
            Refused: It is not served.
        """
        path = "/".join(request.segments)
        if path == "graphql" and request.method == "POST":
            return Route(_graphql, "json")
        if request.is_safe and _PAGES.fullmatch(path) and not (path == "graphql" and request.query):
            return only(Permission.LOOK)
        if request.is_safe and is_answered(path):
            return only(Permission.LOOK)
        if match := _ARTIFACTS.fullmatch(path):
            return self._of_artifact(request, match[1], match[2] or "")
        if match := _API.fullmatch(path):
            route = webhook_route(request, match[1], self._webhooks)
            if route := route or self._of_api(request, match[1]):
                return route
        status = 405 if path == "graphql" else 403
        raise Refused(status, "this part of the server is closed")

    def message(self, text: str | bytes) -> bytes:
        """Refuse: MLflow has no websocket."""
        raise Refused(403, f"MLflow has no websocket; {len(text)} bytes are dropped")

    def _of_api(self, request: Request, rest: str) -> Route | None:
        if request.is_safe:
            return only(Permission.LOOK) if _READ.fullmatch(rest) else None
        if request.method == "POST" and _QUERIES.fullmatch(rest):
            return Route(_ask, "json")
        if decide := self._changes.get((request.method, rest)):
            return Route(lambda body, user: decide(_fields(body), user), "json")
        match = re.fullmatch(rf"logged-models/({_NAMES})(/params|/tags(?:/.+)?)?", rest)
        if match and (request.method, match[2] or "") in {
            ("PATCH", ""),
            ("POST", "/params"),
            ("PATCH", "/tags"),
        }:
            return Route(
                lambda body, user: self._change_model(match[1], _fields(body), user), "json"
            )
        if match and request.method == "DELETE":
            return Route(lambda _body, _user: Decision(Permission.ADMINISTER, None, changes=rest))
        return None

    def _of_artifact(self, request: Request, kind: str, path: str) -> Route:
        """Return the route of an artifact request: reads, and uploads to unfinished runs."""
        if request.is_safe and kind in {"artifacts", "presigned"}:
            return only(Permission.LOOK)
        if request.method == "PUT" and kind == "artifacts":
            return Route(lambda _body, user: self._upload(path, user), "stream")
        match = _UPLOADING.fullmatch(path)
        if request.method == "POST" and kind == "mpu" and match:
            return Route(lambda _body, user: self._upload(match[1], user), "json")
        raise Refused(403, "artifacts are written by PUT and cannot be deleted")

    def _upload(self, path: str, user: str) -> Decision:
        owner = self._records.owner_of(path)
        if owner is None:
            raise Refused(403, "artifacts can be written only to the folder of a run")
        _check_open(owner, user)
        return Decision(Permission.OPERATE, self._tasks(owner.experiment), changes=path)

    def _create_experiment(self, body: _Body, _: str) -> Decision:
        if body.get("artifact_location"):
            raise Refused(403, "the server chooses artifact_location")
        _check_tags(body.get("tags"))
        return self._create(body)

    def _tag_experiment(self, body: _Body, _: str) -> Decision:
        _check_key(body.get("key"))
        tasks = self._tasks(body.get("experiment_id"))
        return Decision(Permission.OPERATE, tasks, changes=_field(body, "experiment_id"))

    def _create_run(self, body: _Body, user: str) -> Decision:
        """Tag a new run with its user: only this user can write to it."""
        _check_tags(body.get("tags"))
        tags = [one for one in body.get("tags") or [] if one.get("key") != "mlflow.user"]
        stamped = [{"key": MADE_BY, "value": user}, {"key": "mlflow.user", "value": user}]
        tasks = self._tasks(body.get("experiment_id"))
        return Decision(
            Permission.OPERATE, tasks, {**body, "user_id": user, "tags": [*tags, *stamped]}
        )

    def _update_run(self, body: _Body, user: str) -> Decision:
        run = self._run_of(body)
        if run.is_finished and body.get("status") not in {None, ""}:
            raise Refused(403, f"run {run.id} is finished; start a new one")
        return replace(self._on_run(run, user), closes=frozenset({run.id}))

    def _tag_run(self, body: _Body, user: str) -> Decision:
        _check_key(body.get("key"))
        return self._on_run(self._run_of(body), user)

    def _log_to_run(self, body: _Body, user: str) -> Decision:
        _check_tags(body.get("tags"))
        run = self._run_of(body)
        _check_open(run, user)
        return self._on_run(run, user)

    def _create_model(self, body: _Body, user: str) -> Decision:
        _check_tags(body.get("tags"))
        if body.get("source_run_id"):
            _check_open(self._run_of({"run_id": body["source_run_id"]}), user)
        stamped = [*(body.get("tags") or []), {"key": MADE_BY, "value": user}]
        tasks = self._tasks(body.get("experiment_id"))
        return Decision(Permission.OPERATE, tasks, {**body, "tags": stamped})

    def _change_model(self, name: str, body: _Body, user: str) -> Decision:
        _check_tags(body.get("tags"))
        if body.get("model_id") not in {None, name}:
            raise Refused(400, "the body names another model than the path")
        model = self._records.model(name)
        if model is None:
            raise Refused(404, f"no model {name}")
        _check_owner(model, user)
        if model.is_finished and set(body) - {"tags", "model_id"}:
            raise Refused(403, f"model {name} is finished")
        tasks = self._tasks(model.experiment)
        return Decision(Permission.OPERATE, tasks, changes=name, closes=frozenset({name}))

    def _create_registered(self, body: _Body, _: str) -> Decision:
        _check_tags(body.get("tags"))
        return self._create(body)

    def _register(self, body: _Body, _: str) -> Decision:
        _check_tags(body.get("tags"))
        source = body.get("source")
        run, model = body.get("run_id"), body.get("model_id")
        if not (isinstance(source, str) and self._records.holds(source, run, model)):
            raise Refused(
                403,
                f"the source {str(source)[:80]!r} is not in the artifacts of a run; use "
                "runs:/RUN/PATH, models:/ID of a logged model, or an address below the artifacts "
                "of the run that run_id names",
            )
        named = " ".join(str(part or "") for part in (run, model, source))
        return replace(self._create(body), closes=frozenset(re.findall(_NAMES, named)))

    def _create(self, body: _Body) -> Decision:
        """Return the permission to create a named record.

        Raises:
            Refused: The name is that of a task, which kinemill creates.
        """
        if self._records.is_task(body.get("name")):
            raise Refused(
                403, f"{body.get('name')!r} is reserved for kinemill; choose another name"
            )
        return Decision(Permission.OPERATE, _named(body), changes=_field(body, "name"))

    def _run_of(self, body: _Body) -> Run:
        names = {body[key] for key in ("run_id", "run_uuid") if body.get(key)}
        if len(names) != 1 or not all(isinstance(name, str) for name in names):
            raise Refused(400, "the body must name one run as run_id")
        name = names.pop()
        if (run := self._records.run(name)) is None:
            raise Refused(404, f"there is no run {name[:40]}")
        return run

    def _on_run(self, run: Run, user: str) -> Decision:
        permission = Permission.OPERATE if run.owner == user else Permission.ADMINISTER
        return Decision(permission, self._tasks(run.experiment), changes=run.id)

    def _tasks(self, experiment: object) -> frozenset[str] | None:
        """Return the task of an experiment, or None."""
        return _task_of(self._records.experiment(str(experiment)))


def _ask(_: Request, _user: str) -> Decision:
    return Decision(Permission.LOOK)


def _graphql(request: Request, _: str) -> Decision:
    operation = parse_operation(request.body or {})
    return Decision(
        Permission.NEVER if operation.is_mutation else Permission.LOOK, body=operation.body
    )


def _promote(body: _Body, _: str) -> Decision:
    return Decision(Permission.PROMOTE, _named(body), changes=_field(body, "name"))


def _administer(body: _Body, _: str) -> Decision:
    _check_key(body.get("key"), missing=True)
    return Decision(Permission.ADMINISTER, None, changes=_field(body, "name"))


def _fields(request: Request) -> _Body:
    """Return a body with unambiguous keys.

    Raises:
        Refused: A key is spelled differently from MLflow's own clients, or a text is too long.
    """
    body = request.body or {}
    for key in body:
        if not _SNAKE.fullmatch(key):
            raise Refused(400, f"{key[:40]!r} is not a field of MLflow's requests")
    check_texts(body, but=_DOCUMENTS)
    return body


def _check_open(run: Run, user: str) -> None:
    _check_owner(run, user)
    if run.is_finished:
        raise Refused(403, f"{run.id} is finished or registered and therefore read-only")


def _check_owner(run: Run, user: str) -> None:
    if run.owner != user:
        raise Refused(
            403, f"{run.id} belongs to {run.owner or 'kinemill'}, and only this user may change it"
        )


def _check_tags(tags: object) -> None:
    """Check the tags of a request.

    Raises:
        Refused: One is reserved for kinemill, or the tags are not a list of keys and values.
    """
    if not isinstance(tags, list | None):
        raise Refused(400, "tags must be a list")
    for tag in tags or []:
        if not isinstance(tag, Mapping):
            raise Refused(400, "a tag must be an object with key and value")
        if tag.get("key") != "mlflow.user":  # MLflow's client sends it; the guard replaces it
            _check_key(tag.get("key"))


def _check_key(key: object, *, missing: bool = False) -> None:
    if key is None and missing:
        return
    if not isinstance(key, str):
        raise Refused(400, "a tag needs a key")
    if key.strip().startswith(_RESERVED):
        raise Refused(403, f"the tag {key[:60]!r} is reserved for kinemill")


def _named(body: _Body) -> frozenset[str] | None:
    """Return the task of the record that a body names."""
    return _task_of(body.get("name"))


def _task_of(name: object) -> frozenset[str] | None:
    """Return the task of an experiment or model: `walker`, `walker/notes`, `walker.notes`."""
    return frozenset({_PART.split(name)[0]}) if isinstance(name, str) else None


def _field(body: _Body, key: str) -> str:
    return str(body.get(key, ""))[:80]
