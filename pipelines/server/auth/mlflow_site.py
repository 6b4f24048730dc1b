"""Served routes of MLflow: each message of its API needs one role.

A body is parsed as the protobuf message that MLflow's handler parses, and MLflow receives that
message. Method and path of a message are those of MLflow's service descriptors.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseError
from mlflow.protos import databricks_pb2
from mlflow.protos.mlflow_artifacts_pb2 import MlflowArtifactsService
from mlflow.protos.model_registry_pb2 import ModelRegistryService
from mlflow.protos.service_pb2 import MlflowService
from mlflow.protos.webhooks_pb2 import WebhookService
from mlflow.utils.proto_json_utils import message_to_json, parse_dict

from kinemill.errors import BadInput
from kinemill.register.tags import OF_DECISION
from kinemill.register.versions import CHAMPION
from kinemill_dagster.pipelines.server.auth.calls import Refused
from kinemill_dagster.pipelines.server.auth.mlflow_records import MlflowRecords
from kinemill_dagster.pipelines.server.auth.mlflow_view import is_answered
from kinemill_dagster.pipelines.server.auth.operation import parse_operation
from kinemill_dagster.pipelines.server.auth.permissions import Decision, Permission, Route, only
from kinemill_dagster.pipelines.server.auth.request import Request, check_texts
from kinemill_dagster.resources.alerts import Webhooks

# Messages that are not listed are closed, as are those that a new MLflow brings.
MESSAGES = {
    Permission.LOOK: """
        BatchGetTraceInfos BatchGetTraces CalculateTraceFilterCorrelation DownloadArtifact
        GetAssessmentRequest GetDataset GetDatasetExperimentIds GetDatasetRecords GetExperiment
        GetExperimentByName GetLatestVersions GetLoggedModel GetMetricHistory
        GetMetricHistoryBulkInterval GetModelVersion GetModelVersionByAlias
        GetModelVersionDownloadUri GetOnlineTraceDetails GetPresignedDownloadUrl GetRegisteredModel
        GetRun GetTrace GetTraceInfo GetTraceInfoV3 ListArtifacts ListLoggedModelArtifacts
        QueryTraceMetrics SearchDatasets SearchEvaluationDatasets SearchExperiments SearchIssues
        SearchLoggedModels SearchModelVersions SearchRegisteredModels SearchRuns SearchTraces
        SearchTracesV3 SearchUnifiedTraces
    """,
    Permission.OPERATE: """
        AbortMultipartUpload CompleteMultipartUpload CreateExperiment CreateLoggedModel
        CreateModelVersion CreateMultipartUpload CreateRegisteredModel CreateRun
        DeleteExperimentTag DeleteTag FinalizeLoggedModel LogBatch LogInputs
        LogLoggedModelParamsRequest LogMetric LogModel LogOutputs LogParam SetExperimentTag
        SetLoggedModelTags SetTag UpdateRun UploadArtifact
    """,
    Permission.PROMOTE: """
        DeleteModelVersionTag DeleteRegisteredModelAlias DeleteRegisteredModelTag
        SetModelVersionTag SetRegisteredModelAlias SetRegisteredModelTag
        TransitionModelVersionStage UpdateModelVersion UpdateRegisteredModel
    """,
    Permission.ADMINISTER: """
        CreateWebhook DeleteExperiment DeleteLoggedModel DeleteLoggedModelTag DeleteModelVersion
        DeleteRegisteredModel DeleteRun DeleteWebhook GetWebhook ListWebhooks RenameRegisteredModel
        RestoreExperiment RestoreRun TestWebhook UpdateExperiment UpdateWebhook
    """,
}
_PAGES = re.compile(  # reads without a message
    r"|static-files/.+|health|version|get-artifact|model-versions/get-artifact|graphql"
    r"|(?:ajax-)?api/[23]\.0/mlflow/(?:metrics/get-history-bulk|server-info|ui-telemetry"
    r"|get-trace-artifact|logged-models/[\w.-]+/artifacts/files)"
)
_USER = "mlflow.user"
_EXPERIMENTS = {  # fields that lead to an experiment
    "experiment_id": "experiments",
    "run_id": "runs",
    "run_uuid": "runs",
    "source_run_id": "runs",
    "model_id": "models",
}
_SUBJECTS = ("name", *_EXPERIMENTS, "webhook_id")
_DOCUMENTS = {"model_json", "schema", "profile"}  # of many columns
_PART = re.compile(r"[/.]")


@dataclass(frozen=True)
class _Endpoint:
    method: str
    path: re.Pattern[str]
    message: type[Any]
    permission: Permission


def _endpoints() -> Iterator[_Endpoint]:
    permissions = {name: role for role, names in MESSAGES.items() for name in names.split()}
    for service in (MlflowService, ModelRegistryService, WebhookService, MlflowArtifactsService):
        for method in service.DESCRIPTOR.methods:
            message = service().GetRequestClass(method)
            if (permission := permissions.get(message.DESCRIPTOR.name)) is not None:
                for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    path = re.sub(r"<path:(\w+)>", r"(?P<\1>.+)", endpoint.path.strip("/"))
                    path = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)
                    pattern = re.compile(rf"(?:ajax-)?api/[23]\.0/{path}")
                    yield _Endpoint(endpoint.method, pattern, message, permission)


_ENDPOINTS = tuple(_endpoints())


class MlflowSite:
    """MLflow's server.

    Args:
        records: lookups of runs and experiments.
        webhooks: returns the addresses that webhooks may use.
        follow: called with model and user after a user moved or removed the champion.
    """

    def __init__(
        self,
        records: MlflowRecords,
        webhooks: Callable[[], Webhooks] = Webhooks,
        follow: Callable[[str, str], None] = lambda _name, _user: None,
    ) -> None:
        self._records = records
        self._webhooks = webhooks
        self._follow = follow

    def route(self, request: Request) -> Route:
        """Return the route of a request.

        Raises:
            Refused: It is not served.
        """
        path = "/".join(request.segments)
        if path == "graphql" and request.method == "POST":
            return Route(_graphql, "json")
        is_page = _PAGES.fullmatch(path) and not (path == "graphql" and request.query)
        if request.is_safe and (is_page or is_answered(path)):
            return only(Permission.LOOK)
        method = "GET" if request.is_safe else request.method
        for endpoint in _ENDPOINTS:
            if endpoint.method == method and (match := endpoint.path.fullmatch(path)):
                return self._route(endpoint, match.groupdict())
        raise Refused(
            405 if path == "graphql" else 403,
            f"this part of the server is closed: {request.method} {path[:80]}",
        )

    def message(self, text: str | bytes) -> bytes:
        """Refuse: MLflow has no websocket."""
        raise Refused(403, f"MLflow has no websocket; {len(text)} bytes are dropped")

    def _route(self, endpoint: _Endpoint, named: dict[str, str]) -> Route:
        """Return the route of an endpoint whose path has these fields."""
        if endpoint.method == "GET":
            return only(endpoint.permission)
        has_body = endpoint.method != "DELETE" or not named
        return Route(
            lambda request, user: self._decide(endpoint, named, request, user),
            "stream" if endpoint.method == "PUT" else "json" if has_body else "none",
            least=endpoint.permission,
        )

    def _decide(
        self, endpoint: _Endpoint, named: dict[str, str], request: Request, user: str
    ) -> Decision:
        """Parse a message, check it, and sign it with the user."""
        message = _parse(endpoint.message, request.body or {}, named)
        permission = max(endpoint.permission, self._check(message))
        _sign(message, user)
        body = json.loads(message_to_json(message, pretty=False))
        subject = named.get("artifact_path") or _subject(message)
        if permission is Permission.LOOK:
            return Decision(permission, body=body)
        return Decision(
            permission,
            self._uploaded_to(subject) if "artifact_path" in named else self._tasks(message),
            None if request.body is None else body,
            changes=subject,
            after=(lambda: self._follow(subject, user)) if _may_move_champion(message) else None,
        )

    def _check(self, message: Any) -> Permission:
        """Check addresses in a message; return the permission that its tags need.

        Raises:
            Refused: The server would read or write at an address of the user's choice.
        """
        kind = message.DESCRIPTOR.name
        if kind == "CreateExperiment" and message.artifact_location:
            raise Refused(403, "the server chooses artifact_location")
        if kind in {"CreateWebhook", "UpdateWebhook"}:
            try:
                addresses = self._webhooks()
                if message.HasField("url"):
                    message.url = addresses.canonical(message.url)
            except BadInput as error:
                raise Refused(403, str(error)) from error
        if kind != "CreateModelVersion":
            return Permission.LOOK
        if not self._records.holds(message.source, message.run_id, message.model_id):
            raise Refused(
                403,
                f"the source {message.source[:80]!r} is not in the artifacts of a run; use "
                "runs:/RUN/PATH, models:/ID of a logged model, or an address below the artifacts "
                "of the run that run_id names",
            )
        is_decided = any(tag.key in OF_DECISION for tag in message.tags)
        return Permission.PROMOTE if is_decided else Permission.OPERATE

    def _uploaded_to(self, path: str) -> frozenset[str]:
        """Return the task of an uploaded artifact.

        Raises:
            Refused: The path is in no folder of a run or logged model.
        """
        if (experiment := self._records.experiment_at(path)) is None:
            raise Refused(403, "artifacts can be written only to the folder of a run")
        return _tasks_of(experiment)

    def _tasks(self, message: Any) -> frozenset[str] | None:
        """Return the tasks that a message changes; None if it belongs to no experiment or model."""
        fields = message.DESCRIPTOR.fields_by_name
        is_named = message.DESCRIPTOR.file.name == "model_registry.proto"
        if is_named or message.DESCRIPTOR.name == "CreateExperiment":
            return _tasks_of(message.name)
        experiments = {
            self._records.experiment(kind, getattr(message, field))
            for field, kind in _EXPERIMENTS.items()
            if field in fields and getattr(message, field)
        }
        names = [name for name in experiments if name is not None]
        return _tasks_of(*names) if names and len(names) == len(experiments) else None


def _parse(message: type[Any], body: Any, named: dict[str, str]) -> Any:
    """Return the message of a body; fields in the path replace those of the body.

    Raises:
        Refused: A field has another type, or a text is too long.
    """
    check_texts(body, but=_DOCUMENTS)
    parsed = message()
    try:
        parse_dict(body, parsed)
    except ParseError as error:
        raise Refused(400, f"this is not {parsed.DESCRIPTOR.name} ({str(error)[:120]})") from error
    for field, value in named.items():
        if field in parsed.DESCRIPTOR.fields_by_name:
            setattr(parsed, field, value)
    return parsed


def _sign(message: Any, user: str) -> None:
    """Write the user of a request into a message, whatever user it names."""
    kind = message.DESCRIPTOR.name
    if kind == "CreateRun":
        message.user_id = user
        if all(tag.key != _USER for tag in message.tags):
            message.tags.add(key=_USER)
    if kind.startswith("Set") and "key" in message.DESCRIPTOR.fields_by_name:
        message.value = user if message.key == _USER else message.value
    for tag in message.tags if "tags" in message.DESCRIPTOR.fields_by_name else ():
        tag.value = user if tag.key == _USER else tag.value


def _may_move_champion(message: Any) -> bool:
    return message.DESCRIPTOR.name in {
        "DeleteModelVersion",
        "DeleteRegisteredModel",
        "RenameRegisteredModel",
    } or (message.DESCRIPTOR.name.endswith("RegisteredModelAlias") and message.alias == CHAMPION)


def _subject(message: Any) -> str:
    fields = message.DESCRIPTOR.fields_by_name
    values = (str(getattr(message, field)) for field in _SUBJECTS if field in fields)
    return next((value[:80] for value in values if value), "")


def _tasks_of(*names: str) -> frozenset[str]:
    """Return the tasks of experiments or models: `walker`, `walker/notes`, `walker.notes`."""
    return frozenset(_PART.split(name)[0] for name in names)


def _graphql(request: Request, _: str) -> Decision:
    operation = parse_operation(request.body or {})
    return Decision(
        Permission.NEVER if operation.is_mutation else Permission.LOOK, body=operation.body
    )
